// Transfers: the jobs. System: storage, trash, users.
import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { ask, Confirm, post, Problem, size, time, useData } from "./api.js";

const STATES = ["waiting", "running", "paused", "done", "failed", "cancelled"];
const VERBS = { waiting: ["pause", "cancel"], running: ["pause", "cancel"], paused: ["resume", "cancel"], failed: ["retry"], cancelled: ["retry"], done: [] };

function Job({ job, may, onDone }) {
    const [asked, setAsked] = useState(false);
    const [error, setError] = useState(null);
    async function run(verb) {
        setAsked(false);
        try {
            await post(`/api/jobs/${job.id}/${verb}`);
            setError(null);
        } catch (failure) {
            setError(failure);
        }
        onDone();
    }
    const verbs = [...VERBS[job.state], ...(job.state === "done" && job.failed ? ["retry"] : [])];
    return html`<li class="job"><b>${job.kind} ${job.key}</b><span class="state">${job.state}</span>
        <span>${job.total ? html`<progress max=${job.total} value=${job.done} aria-label="Progress"></progress> ${job.done} of ${job.total}` : ""}
            ${job.failed ? `, ${job.failed} failed` : ""}</span>
        <span>${job.subject}</span><span>${job.reason}</span><span>${time(job.created)}</span>
        <span class="buttons">${may && verbs.map(verb => html`<button aria-label=${`${verb} job ${job.id}`}
            onClick=${() => verb === "cancel" ? setAsked(true) : run(verb)}>${verb}</button>`)}</span><${Problem} error=${error} />
        ${asked && html`<${Confirm} question=${`Cancel ${job.kind} to ${job.key}?`} onYes=${() => run("cancel")} onNo=${() => setAsked(false)} />`}</li>`;
}

export function Transfers({ me }) {
    const [state, setState] = useState("");
    const { data, error, again } = useData(() => ask(`/api/jobs${state ? `?state=${state}` : ""}`), [state], { kinds: ["job."], seconds: 10 });
    const may = me.role === "operator" || me.role === "admin";
    return html`<h1>Transfers</h1><form class="filter" onSubmit=${e => e.preventDefault()}>
            <select aria-label="State" value=${state} onChange=${e => setState(e.target.value)}><option value="">All states</option>
                ${STATES.map(s => html`<option value=${s}>${s}</option>`)}</select></form>
        <${Problem} error=${error} />${data && html`<p class="count" role="status">${data.rows.length || "No"} jobs</p>`}
        <ul class="jobs">${((data && data.rows) || []).map(job => html`<${Job} key=${job.id} job=${job} may=${may} onDone=${again} />`)}</ul>`;
}

// ---- system ----

const shown = (key, value) => /bytes|^free$|^total$|^journal_|size$/.test(key) && typeof value === "number" ? size(value)
    : typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);

function Trash() {
    const [error, setError] = useState(null);
    const { data, error: unread, again } = useData(() => ask("/api/trash"), [], { kinds: ["study."] });
    async function restore(id) {
        try {
            await post(`/api/trash/${id}/restore`);
        } catch (failure) {
            setError(failure);
        }
        again();
    }
    return html`<h2>Trash</h2><${Problem} error=${error || unread} />
        ${data && data.rows.length === 0 && html`<p>It is empty.</p>`}
        <ul class="jobs">${((data && data.rows) || []).map(row => html`<li>${Object.entries(row).map(([key, value]) =>
            html`<span><small>${key}</small> ${shown(key, value)}</span>`)}
            <button aria-label=${`Restore ${row.id}`} onClick=${() => restore(row.id)}>Restore</button></li>`)}</ul>`;
}

function Users() {
    const { data, error } = useData(() => ask("/api/users"), []);
    return html`<h2>Users</h2><${Problem} error=${error} />
        ${data && data.rows.length === 0 && html`<p>There are none: nobody has to log in. <code>vitrine user add NAME --role admin</code> makes the first.</p>`}
        <ul class="jobs">${((data && data.rows) || []).map(user => html`<li><b>${user.name}</b><span>${user.role}</span>
            <span>${user.last_login ? `last here ${time(user.last_login)}` : "never here"}</span></li>`)}</ul>`;
}

const flat = row => Object.entries(row).flatMap(([key, value]) => value !== null && typeof value === "object" && !Array.isArray(value)
    ? Object.entries(value).map(([inner, v]) => [`${key} ${inner}`, v]) : [[key, value]]);

export function System({ me }) {
    const { data, error } = useData(() => ask("/api/status"), [], { kinds: ["volume."], seconds: 10 });
    return html`<h1>System</h1><${Problem} error=${error} /><h2>Storage</h2>
        ${((data && data.rows) || []).map(row => html`<dl>${flat(row).map(([key, value]) =>
            html`<div><dt>${key.replaceAll("_", " ")}</dt><dd>${shown(key, value)}</dd></div>`)}</dl>`)}
        ${me.role === "admin" && html`<${Trash} /><${Users} />`}`;
}
