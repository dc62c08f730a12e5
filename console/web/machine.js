// What is done to one virtual machine: power verbs with their impact first, snapshots, its screen.
import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, attendance, Confirm, many, post, Problem, useData } from "./api.js";

export const VERBS = {
    Running: [["suspend", "Suspend"], ["shutdown", "Shut down"], ["reboot", "Restart"]],
    Suspended: [["resume", "Resume"]],
    Paused: [["unpause", "Unpause"]],
    Halted: [["start", "Start"]],
};
const AT_ONCE = 4, NAMED = 12;
export const DEEDS = [["start", "Start"], ["resume", "Resume"], ["suspend", "Suspend"], ["reboot", "Restart"], ["shutdown", "Shut down"]];
const HARMLESS = ["start", "resume", "unpause", "snapshot"];

// What the pool's daemon says while it works, line by line; the last one says how it ended.
export async function follow(path, body, onLine) {
    const answer = await fetch(path, { method: "POST", credentials: "same-origin", body: JSON.stringify(body || {}),
                                       headers: { "Accept": "application/x-ndjson", "Content-Type": "application/json", ...attendance() } })
        .catch(() => { throw new Error("The node does not answer."); });
    if (!answer.ok)
        throw new Error((await answer.json().catch(() => ({}))).error || `The node answered ${answer.status}.`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", last = {};
    const rows = [];
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        const lines = (rest + piece.value).split("\n");
        rest = lines.pop();
        for (const said of lines.filter(Boolean).map(line => JSON.parse(line))) {
            last = said;
            if (said.row)
                rows.push(said.row);
            onLine(said);
        }
    }
    if (last.error)
        throw new Error(last.error);
    if (last.ask)
        return { ask: last.ask, rows };
    if (last.status !== 0)
        throw new Error(rows.map(row => row.error).filter(Boolean).join(" ") || "It was not done.");
    return { rows };
}

// The verbs that run now: {uuid: {verb, percent, error}}, whatever row is in view.
export function useVerbs(onDone) {
    const [doing, setDoing] = useState({});
    const note = (uuid, change) => setDoing(old => ({ ...old, [uuid]: change && { ...old[uuid], ...change } }));
    async function run(vm, verb, body) {
        note(vm.uuid, { verb, percent: null, error: null });
        try {
            const end = await follow(`/api/pool/vms/${vm.uuid}/${verb}`, body, said => said.progress &&
                note(vm.uuid, { percent: Math.round(100 * said.progress.done / Math.max(1, said.progress.total)) }));
            note(vm.uuid, null);
            onDone();
            return end;
        } catch (error) {
            note(vm.uuid, { verb: null, error });
            onDone();
            return null;
        }
    }
    return { doing, run, forget: vm => note(vm.uuid, null) };
}

// Jobs that wait for or go to machines: those to a peer at one of their addresses, or of their name.
async function transfersTo(vms) {
    const [peers, waiting, running] = await Promise.all([ask("/api/nodes"), ask("/api/jobs?state=waiting"), ask("/api/jobs?state=running")]);
    const names = peers.rows.filter(peer => vms.some(vm => peer.name === vm.name || (vm.addresses || []).includes(peer.host))).map(peer => peer.name);
    return [...running.rows, ...waiting.rows].filter(job => names.includes(job.key));
}

// What the pool would refuse, machine by machine; a few at a time.
async function refusals(vms, verb) {
    const refused = [], rest = [...vms];
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
        for (let vm = rest.shift(); vm; vm = rest.shift()) {
            const dry = await post(`/api/pool/vms/${vm.uuid}/${verb}`, { dry_run: true });
            refused.push(...dry.rows.filter(row => row.outcome !== "would").map(row => ({ vm, words: row.error || row.outcome })));
        }
    }));
    return refused;
}

async function impactOf(vms, verb) {
    const [refused, transfers] = await Promise.all([refusals(vms, verb), transfersTo(vms)]);
    return { refused, transfers };
}

// Of one machine or of several: what would be cut, and what the pool refuses. onYes gets those that it takes.
export function Impact({ vms, verb, title, onYes, onNo }) {
    const box = useRef(), [vm] = vms, one = vms.length === 1;
    const { data, error } = useData(() => impactOf(vms, verb), [vms.map(each => each.uuid).join(), verb]);
    useEffect(() => { box.current.showModal(); }, []);
    const name = one ? vm.name : many(vms.length, "machine"), taken = data ? vms.filter(each => !data.refused.some(row => row.vm === each)) : [];
    return html`<dialog ref=${box} onClose=${onNo} aria-label=${`${title} ${name}`}><h2>${title} ${name}?</h2>
        ${one ? html`<p>${vm.name} runs on ${vm.host || "no host"}${(vm.addresses || []).length ? ` at ${vm.addresses.join(" ")}` : ""}. ${HARMLESS.includes(verb) ? "" : "Whoever works there is interrupted."}</p>`
            : html`<p>${vms.slice(0, NAMED).map(each => each.name).join(", ")}${vms.length > NAMED ? ` and ${vms.length - NAMED} more` : ""}.${HARMLESS.includes(verb) ? "" : " Whoever works there is interrupted."}</p>`}
        <${Problem} error=${error} />${!data && !error && html`<p class="count" role="status">Asking the pool …</p>`}${data && html`<div class="impact" role="status">
            ${data.refused.map(row => html`<p class="problem">${one ? "" : `${row.vm.name}: `}${row.words}</p>`)}
            ${!HARMLESS.includes(verb) && html`<p>${data.transfers.length === 0 ? `No transfer goes to ${one ? "it" : "them"} now.` : `${many(data.transfers.length, "transfer")} would be cut and wait until it runs again:`}</p>`}
            <ul>${data.transfers.map(job => html`<li>${job.kind} to ${job.key}, ${job.done} of ${job.total}</li>`)}</ul></div>`}
        <p class="buttons"><button onClick=${onNo}>Cancel</button>
            <button class=${HARMLESS.includes(verb) ? "main" : "danger"} disabled=${taken.length === 0} onClick=${() => onYes(taken)}>${one || !data || data.refused.length === 0 ? "Yes, do it" : `Yes, with ${taken.length} of them`}</button></p></dialog>`;
}

// Asks where it must, then runs. `done` is told when there is nothing more to show.
export function Deed({ vm, verb, title, run, done }) {
    useEffect(() => {
        if (HARMLESS.includes(verb)) {
            run(vm, verb);
            done();
        }
    }, []);
    return HARMLESS.includes(verb) ? null
        : html`<${Impact} vms=${[vm]} verb=${verb} title=${title} onYes=${() => { run(vm, verb); done(); }} onNo=${done} />`;
}

// To several machines, a few at a time; each row shows its own progress and end.
export async function runMany(run, vms, verb) {
    const rest = [...vms];
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
        for (let vm = rest.shift(); vm; vm = rest.shift())
            await run(vm, verb);
    }));
}

// ---- snapshots ----

const when = text => text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d:\d\d).*$/, "$1-$2-$3 $4");

// Each behind the one it was taken after; those whose parent is gone stand at the root.
export function treeOf(rows) {
    const known = new Set(rows.map(row => row.uuid));
    const below = (parent, depth) => rows.filter(row => (known.has(row.parent) ? row.parent : null) === parent)
        .sort((a, b) => a.time.localeCompare(b.time)).flatMap(row => [{ ...row, depth }, ...below(row.uuid, depth + 1)]);
    return below(null, 0);
}

export function Snapshots({ vm, may, run, doing, onClose }) {
    const box = useRef();
    const [asked, setAsked] = useState(null);
    const { data, error, again } = useData(() => ask(`/api/pool/vms/${vm.uuid}/snapshots`), [vm.uuid], { seconds: 5 });
    useEffect(() => { box.current.showModal(); }, []);
    const rows = treeOf((data && data.rows) || []);
    async function act(verb, snapshot, confirmed) {
        setAsked(null);
        const end = await run(vm, verb, { ...(snapshot ? { snapshot: snapshot.uuid } : {}), ...(confirmed ? { confirmed } : {}) });
        if (end && end.ask)
            setAsked({ verb, snapshot, ...end.ask });
        again();
    }
    const busy = doing && doing.verb;
    return html`<dialog class="wide" ref=${box} onClose=${onClose} aria-label=${`Snapshots of ${vm.name}`}><h2>Snapshots of ${vm.name}</h2>
        <${Problem} error=${error || (doing && doing.error)} />${data && rows.length === 0 && html`<p class="count">There are none.</p>`}
        <ul class="tree" role="tree">${rows.map(row => html`<li role="treeitem" aria-level=${row.depth + 1} style=${{ marginLeft: `${row.depth * 1.5}rem` }}>
            <span><b>${row.name}</b>${row.current ? " (it goes on from here)" : ""}</span><span>${when(row.time)}</span><span>${row.kind}</span><span>${row.description}</span>
            ${may && html`<span class="buttons">${row.revertible !== false && html`<button disabled=${busy} aria-label=${`Revert to ${row.name}`} onClick=${() => act("revert", row)}>Revert</button>`}
                <button class="danger" disabled=${busy} aria-label=${`Delete ${row.name}`}
                    onClick=${() => setAsked({ verb: "snapshot-delete", snapshot: row, question: `Delete the snapshot ${row.name}? Nobody can go back to it then.` })}>Delete</button></span>`}</li>`)}</ul>
        <p class="buttons">${may && html`<button disabled=${busy} onClick=${() => act("snapshot")}>Take one now</button>`}
            <span role="status">${busy ? `${doing.verb} … ${doing.percent === null ? "" : `${doing.percent} %`}` : ""}</span>
            <button onClick=${onClose}>Close</button></p>
        ${asked && html`<${Confirm} question=${asked.question} word=${asked.word} onYes=${typed => act(asked.verb, asked.snapshot, typed || undefined)}
            onNo=${() => setAsked(null)} />`}</dialog>`;
}

// ---- its screen ----

export function Screen({ vm, onClose }) {
    const box = useRef(), field = useRef(), screen = useRef(null);
    const [state, setState] = useState({ name: "opening", words: "" });
    useEffect(() => {
        let gone = false;
        box.current.showModal();
        (async () => {
            const [{ openScreen }, { ticket }] = await Promise.all([import("/screen.js"), post(`/api/pool/vms/${vm.uuid}/screen`)]);
            if (!gone)
                screen.current = openScreen(field.current, `${location.origin.replace(/^http/, "ws")}/api/screen?ticket=${ticket}`,
                    (name, words) => gone || setState({ name, words }));
        })().catch(error => setState({ name: "ended", words: error.message }));
        return () => {
            gone = true;
            if (screen.current)
                screen.current.close();
        };
    }, []);
    return html`<dialog class="wide" ref=${box} onClose=${onClose} onCancel=${e => e.preventDefault()} aria-label=${`Screen of ${vm.name}`}>
        <h2>Screen of ${vm.name}</h2><div class="vm-screen" ref=${field} data-state=${state.name}></div>
        <p class="buttons"><span role="status" class=${state.name === "ended" ? "problem" : ""}>${state.name === "opening" ? "Opening …" : state.words}</span>
            <button disabled=${state.name !== "connected"} onClick=${() => screen.current.keys()}>Ctrl Alt Del</button>
            <button onClick=${onClose}>Close</button></p></dialog>`;
}
