// The workstations' virtual machines and the monitor of their network, as vitrine-poold tells them. When it is away the last
// picture stays, with its age.
import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { ask, Confirm, post, Problem, useData } from "./api.js";

const SECONDS = 3, ROWS = 400;
const VERBS = {
    Running: [["suspend", "Suspend"], ["shutdown", "Shut down"], ["reboot", "Restart"], ["snapshot", "Snapshot"]],
    Suspended: [["resume", "Resume"]],
    Paused: [["unpause", "Unpause"]],
    Halted: [["start", "Start"]],
};
const HARMLESS = ["start", "resume", "unpause", "snapshot"];

function Age({ data }) {
    if (!data || !data.error)
        return null;
    return html`<p class="problem" role="alert">${data.error}${data.age_s === null ? ""
        : ` What follows is ${data.age_s < 60 ? `${data.age_s} seconds` : `${Math.floor(data.age_s / 60)} minutes`} old.`}</p>`;
}

function Machine({ vm, may, onDone }) {
    const [doing, setDoing] = useState(null);
    const [asked, setAsked] = useState(null);
    const [error, setError] = useState(null);
    async function run(verb, confirmed) {
        setAsked(null);
        setError(null);
        setDoing(verb);
        try {
            const answer = await post(`/api/pool/vms/${vm.uuid}/${verb}`, confirmed ? { confirmed } : null);
            if (answer.status !== 0)
                throw new Error(answer.notes.join(" ") || answer.rows.map(row => row.text || row.error || "").join(" ") || "It was not done.");
        } catch (failure) {
            if (failure.body && failure.body.ask)
                setAsked({ verb, ...failure.body.ask });
            else
                setError(failure);
        }
        setDoing(null);
        onDone();
    }
    const begin = verb => HARMLESS.includes(verb) ? run(verb)
        : setAsked({ verb, question: `${VERBS[vm.power_state].find(row => row[0] === verb)[1]} ${vm.name}? Whoever works there is interrupted.` });
    return html`<li class="machine" data-state=${vm.power_state}><b>${vm.name}</b><span class="state">${doing ? `${doing} …` : vm.power_state}</span>
        <span>${(vm.addresses || []).join(" ")}</span><span>${(vm.snapshots || []).length || "no"} snapshots</span>
        <span class="buttons">${may && (VERBS[vm.power_state] || []).map(([verb, title]) =>
            html`<button disabled=${!!doing} aria-label=${`${title} ${vm.name}`} onClick=${() => begin(verb)}>${title}</button>`)}</span>
        <${Problem} error=${error} />
        ${asked && html`<${Confirm} question=${asked.question} word=${asked.word} onYes=${typed => run(asked.verb, typed || undefined)}
            onNo=${() => setAsked(null)} />`}</li>`;
}

export function Workstations({ me }) {
    const [word, setWord] = useState("");
    const [state, setState] = useState("");
    const { data, error, again } = useData(() => ask("/api/pool/vms"), [], { seconds: SECONDS });
    const may = me.role === "operator" || me.role === "admin";
    const all = (data && data.rows) || [], small = word.toLowerCase();
    const found = all.filter(vm => (!state || vm.power_state === state) &&
        [vm.name, vm.host || "", ...(vm.addresses || [])].some(value => value.toLowerCase().includes(small)));
    const hosts = [...new Set(found.slice(0, ROWS).map(vm => vm.host || ""))].sort();
    return html`<h1>Workstations</h1>
        <form class="filter sticky" role="search" onSubmit=${e => e.preventDefault()}>
            <input type="search" aria-label="Name, host or address" placeholder="Name, host or address" value=${word} onInput=${e => setWord(e.target.value)} />
            <select aria-label="State" value=${state} onChange=${e => setState(e.target.value)}><option value="">All states</option>
                ${["Running", "Halted", "Suspended", "Paused"].map(s => html`<option value=${s}>${s}</option>`)}</select></form>
        <${Problem} error=${error} /><${Age} data=${data} />
        ${data && html`<p class="count" role="status">${found.length} of ${all.length}${found.length > ROWS ? `, the first ${ROWS} are shown` : ""}</p>`}
        ${hosts.map(host => html`<section key=${host}><h2>${host || "On no host"}</h2><ul class="machines">
            ${found.slice(0, ROWS).filter(vm => (vm.host || "") === host).map(vm => html`<${Machine} key=${vm.uuid} vm=${vm} may=${may} onDone=${again} />`)}</ul></section>`)}`;
}

// ---- the monitor ----

const when = value => value ? new Date(typeof value === "number" ? value * 1000 : value).toLocaleString() : "";

export function Monitor() {
    const incidents = useData(() => ask("/api/pool/incidents"), [], { seconds: SECONDS });
    const watched = useData(() => ask("/api/pool/watch"), [], { seconds: SECONDS });
    const rows = [...((incidents.data && incidents.data.rows) || [])].reverse().slice(0, ROWS);
    const open = rows.filter(row => !row.closed).length;
    return html`<h1>Network monitor</h1><${Problem} error=${incidents.error} /><${Age} data=${incidents.data} />
        ${incidents.data && html`<p class="count" role="status">${rows.length} incidents, ${open} open; ${((watched.data && watched.data.rows) || []).length} virtual machines watched</p>`}
        <ul class="incidents">${rows.map(row => html`<li class=${row.closed ? "" : "now"}><b>${row.vm || row.subject || "link"}</b>
            <span class="state">${row.class}</span><span>${when(row.opened)}</span>
            <span>${row.closed ? `over ${when(row.closed)}` : "still so"}</span>
            <span>${row.snapshot ? "snapshot taken" : row.reason || "no snapshot"}</span></li>`)}</ul>
        <h2>Watched</h2><ul class="incidents">${((watched.data && watched.data.rows) || []).slice(0, ROWS).map(row => html`<li>
            <b>${row.vm || row.name || row.watch || ""}</b><span class="state">${row.state || row.class || ""}</span><span>${row.text || row.reason || ""}</span></li>`)}</ul>`;
}
