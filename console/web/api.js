// Requests to the node, and what all pages share. Data are put into pages as text only.
import { html } from "htm/preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

export const WEB = "/dicom-web";

export async function ask(path, options = {}) {
    let answer;
    try {
        answer = await fetch(path, { credentials: "same-origin", ...options });
    } catch {
        throw new Error("The node does not answer.");
    }
    if (answer.status === 401)
        window.dispatchEvent(new Event("vitrine-login"));
    if (answer.status === 204)
        return null;
    const body = (answer.headers.get("Content-Type") || "").includes("json") ? await answer.json() : null;
    if (!answer.ok) {
        const error = new Error((body && body.error) || `The node answered ${answer.status}.`);
        error.body = body;
        error.status = answer.status;
        throw error;
    }
    return body;
}

export const post = (path, body) =>
    ask(path, { method: "POST", ...(body ? { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } } : {}) });

// What `load` gives, anew when an event of one of these kinds comes, and every `seconds`. What was there stays when it fails.
export function useData(load, keys, { kinds = [], seconds = 0 } = {}) {
    const [state, setState] = useState({ data: null, error: null });
    const turn = useRef(0);
    const again = useCallback(async () => {
        const mine = ++turn.current;
        try {
            const data = await load();
            if (mine === turn.current)
                setState({ data, error: null });
        } catch (error) {
            if (mine === turn.current)
                setState(old => ({ data: old.data, error }));
        }
    }, keys);
    useEffect(() => {
        let late = 0;
        const heard = event => {
            if (event.detail.kind === "lost" || kinds.some(kind => event.detail.kind.startsWith(kind))) {
                clearTimeout(late);
                late = setTimeout(again, 200);
            }
        };
        again();
        window.addEventListener("vitrine-event", heard);
        const timer = seconds ? setInterval(() => document.hidden || again(), seconds * 1000) : 0;
        return () => {
            turn.current++;
            window.removeEventListener("vitrine-event", heard);
            clearTimeout(late);
            clearInterval(timer);
        };
    }, [again]);
    return { ...state, again };
}

export function follow() {
    const source = new EventSource("/api/events");
    source.onmessage = message => window.dispatchEvent(new CustomEvent("vitrine-event", { detail: JSON.parse(message.data) }));
    return () => source.close();
}

// ---- DICOM JSON ----

export function text(item, tag) {
    const values = (item && item[tag] && item[tag].Value) || [];
    return values.map(value => value === null ? "" : typeof value === "object" ? value.Alphabetic || value.Ideographic || "" : String(value)).join(", ");
}
export const person = name => name.split("=")[0].replace(/\^+$/, "").replace("^", ", ").replaceAll("^", " ");
export const day = date => /^\d{8}$/.test(date) ? `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}` : date;
export const time = ms => ms ? new Date(ms).toLocaleString() : "";
export function size(bytes) {
    const units = ["B", "KB", "MB", "GB", "TB"];
    let unit = 0;
    for (; bytes >= 1000 && unit < units.length - 1; unit++)
        bytes /= 1000;
    return `${unit ? bytes.toFixed(1) : bytes} ${units[unit]}`;
}

// ---- what all pages use ----

export const Problem = ({ error }) => error && html`<p class="problem" role="alert">${error.message}</p>`;

export function Confirm({ question, word, onYes, onNo }) {
    const box = useRef();
    const [typed, setTyped] = useState("");
    useEffect(() => { box.current.showModal(); }, []);
    return html`<dialog ref=${box} onClose=${onNo} aria-label="Confirm">
        <p class="question">${question}</p>
        ${word && html`<label>Type <b>${word}</b> <input value=${typed} onInput=${e => setTyped(e.target.value)} /></label>`}
        <p class="buttons"><button onClick=${onNo}>Cancel</button>
        <button class="danger" disabled=${word && typed !== word} onClick=${() => onYes(typed)}>Yes, do it</button></p></dialog>`;
}
