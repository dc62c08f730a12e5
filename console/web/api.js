// Requests to the node, and what all pages share. Data are put into pages as text only.
import { html } from "htm/preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

export const WEB = "/dicom-web";

// ---- whether the node answers, and whether somebody is here ----

const USE_MS = 5000;      // what is asked so long after a key or the mouse is use of the session
const NEWS_MS = 200;      // events that come together are answered together
const AGAIN_MS = 3000;    // until events are asked for anew when the node refused them

export const contact = { away: false, heard: Date.now() };
let touched = performance.now();
for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "input"])
    addEventListener(kind, () => { touched = performance.now(); }, { capture: true, passive: true });

function reached(yes) {
    if (yes)
        contact.heard = Date.now();
    if (contact.away !== yes)
        return;
    contact.away = !yes;
    dispatchEvent(new Event("vitrine-contact"));
    if (yes)
        dispatchEvent(new CustomEvent("vitrine-event", { detail: { kind: "lost" } }));
}

// What a page asks by itself must not keep the session of somebody who left.
export const attendance = () => performance.now() - touched > USE_MS ? { "Vitrine-Unattended": "1" } : {};

async function answerOf(path, options) {
    const headers = { ...attendance(), ...options.headers };
    const answer = await fetch(path, { credentials: "same-origin", ...options, headers }).catch(() => null);
    reached(!!answer);
    if (!answer)
        throw Object.assign(new Error("The node does not answer."), { away: true });
    if (answer.status === 401)
        dispatchEvent(new Event("vitrine-login"));
    return answer;
}

export async function ask(path, options = {}) {
    const answer = await answerOf(path, options);
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

// What `load` gives, anew when an event of one of these kinds comes, and every `seconds`; not more often than every `calm` ms. What was there stays when it fails; that the node
// is away is told once, above all pages.
export function useData(load, keys, { kinds = [], seconds = 0, calm = NEWS_MS } = {}) {
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
                setState(old => ({ data: old.data, error: old.data && (error.away || error.status === 401) ? null : error }));
        }
    }, keys);
    useEffect(() => {
        let late = 0;
        const heard = event => {
            if (event.detail.kind === "lost" || kinds.some(kind => event.detail.kind.startsWith(kind))) {
                late ||= setTimeout(() => { late = 0; again(); }, calm);
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
    }, [again, seconds, calm]);
    return { ...state, again };
}

// Events of the node, until the function that is returned is called. When the node goes away the browser tries again by itself; when it
// refuses us, asking who we are tells why (a login may have ended).
export function follow() {
    let source = null, late = 0, ended = false, before = false;
    function open() {
        source = new EventSource("/api/events?unattended=1");
        source.onopen = () => {
            reached(true);
            if (before)
                dispatchEvent(new CustomEvent("vitrine-event", { detail: { kind: "lost" } }));
            before = true;
        };
        source.onmessage = message => {
            contact.heard = Date.now();
            dispatchEvent(new CustomEvent("vitrine-event", { detail: JSON.parse(message.data) }));
        };
        source.onerror = () => {
            const refused = source.readyState === EventSource.CLOSED;
            ask("/api/me").then(me => me.role === "nobody" && dispatchEvent(new Event("vitrine-login")), () => {});
            if (refused && !ended)
                late = setTimeout(open, AGAIN_MS);
        };
    }
    open();
    return () => {
        ended = true;
        clearTimeout(late);
        source.close();
    };
}

// ---- DICOM JSON ----

export function text(item, tag) {
    const values = (item && item[tag] && item[tag].Value) || [];
    return values.map(value => value === null ? "" : typeof value === "object" ? value.Alphabetic || value.Ideographic || "" : String(value)).join(", ");
}
export const person = name => name.split("=")[0].replace(/\^+$/, "").replace("^", ", ").replaceAll("^", " ");
export const day = date => /^\d{8}$/.test(date) ? `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}` : date;
const two = number => String(number).padStart(2, "0");
const clock = (at, seconds) => `${two(at.getHours())}:${two(at.getMinutes())}${seconds ? `:${two(at.getSeconds())}` : ""}`;
export const dayOf = at => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
// As hospitals write it: today the time alone, else the day, too.
export function time(ms) {
    if (!ms)
        return "";
    const at = new Date(ms), today = dayOf(at) === dayOf(new Date());
    return today ? clock(at, true) : `${dayOf(at)} ${clock(at, false)}`;
}
export const minutes = ms => clock(new Date(ms), false);
export const many = (count, one, more = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : more}`;
export function duration(seconds) {
    const steps = [[86400, "day", 2 * 86400], [3600, "hour", 7200], [60, "minute", 120], [1, "second", 0]];
    if (seconds < 1)
        return "a moment";
    const [unit, word] = steps.find(([, , least]) => seconds >= least);
    return many(Math.floor(seconds / unit), word);
}
export function size(bytes) {
    const units = ["B", "KB", "MB", "GB", "TB"];
    let unit = 0;
    for (; bytes >= 1000 && unit < units.length - 1; unit++)
        bytes /= 1000;
    return `${unit ? bytes.toFixed(1) : bytes} ${units[unit]}`;
}

// ---- what all pages use ----

// Of a study or series; what has no picture (a report, raw data) says so.
export function Thumbnail({ of }) {
    const [none, setNone] = useState(false);
    useEffect(() => {   // it may have failed while the node was away, or nobody was logged in
        const again = event => event.detail.kind === "lost" && setNone(false);
        addEventListener("vitrine-event", again);
        return () => removeEventListener("vitrine-event", again);
    }, []);
    return none ? html`<span class="no-picture">no picture</span>`
        : html`<img src=${`${WEB}/${of}/thumbnail?viewport=192,192`} alt="" loading="lazy" onError=${() => setNone(true)} />`;
}

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
