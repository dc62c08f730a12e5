// Transfers: the jobs. System: storage, trash, users, the log.
import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, Confirm, many, person, post, Problem, size, text, time, useData, WEB } from "./api.js";

const STATES = ["waiting", "running", "paused", "done", "failed", "cancelled"];
const VERBS = { waiting: ["pause", "cancel"], running: ["pause", "cancel"], paused: ["resume", "cancel"], failed: ["retry"], cancelled: ["retry"], done: [] };
const WORDS = { pause: "Pause", cancel: "Cancel", resume: "Resume", retry: "Try again" };

const titleOf = job => job.kind === job.key ? job.kind : `${job.kind} ${job.key}`;
const rowsOf = state => (state.data && state.data.rows) || [];

export function Progress({ job }) {
    const words = job.total ? `${job.done.toLocaleString("en")} of ${job.total.toLocaleString("en")}` : "";
    const moving = job.state === "running" || job.state === "paused" || job.state === "waiting";
    return html`<span>${job.total > 0 && moving && html`<progress max=${job.total} value=${job.done} aria-label=${`${titleOf(job)}: ${words}`}></progress> `}${words}${
        job.failed ? html`, <span class="problem">${job.failed} failed</span>` : ""}</span>`;
}

// Whose study it is: a UID says little. Asked once for each.
const patients = new Map();
function patientOf(uid) {
    if (!patients.has(uid))
        patients.set(uid, ask(`${WEB}/studies?StudyInstanceUID=${uid}`).then(found => found && found[0] ? person(text(found[0], "00100010")) || "(no name)" : ""));
    return patients.get(uid).catch(() => { patients.delete(uid); return ""; });
}

function Subject({ job }) {
    const name = job.subject.split("/").pop(), [uid] = /^\d+(\.\d+)+/.exec(name) || [""];
    const { data } = useData(async () => uid ? patientOf(uid) : "", [uid]);
    return html`<span class="subject" title=${job.subject}>${data ? html`${data}<small>${name}</small>` : job.kind === "export" ? name : job.subject}${job.reason && html`<small>${job.reason}</small>`}</span>`;
}

function Job({ job, may, files, onDone }) {
    const [asked, setAsked] = useState(false);
    const [error, setError] = useState(null);
    async function run(verb) {
        setAsked(false);
        await post(`/api/jobs/${job.id}/${verb}`).then(() => setError(null), setError);
        onDone();
    }
    const verbs = [...VERBS[job.state], ...(job.state === "done" && job.failed ? ["retry"] : [])];
    const name = job.subject.split("/").pop(), file = job.kind === "export" && job.state === "done" && files.find(one => one.name === name);
    return html`<li class="job" data-state=${job.state}><b>${titleOf(job)}<small>${`${job.id}${job.who ? `, by ${job.who}` : ""}`}</small></b><span class="state">${job.state}</span>
        <${Progress} job=${job} /><${Subject} job=${job} />
        <span>${time(job.ended || job.created)}</span>
        <span class="buttons">${file && html`<a class="button" href=${`/api/exports/${file.name}`} download=${file.name} aria-label=${`Download ${file.name}`}>Download (${size(file.bytes)})</a>`}
            ${may && verbs.map(verb => html`<button aria-label=${`${WORDS[verb]}: job ${job.id}`}
                onClick=${() => verb === "cancel" ? setAsked(true) : run(verb)}>${WORDS[verb]}</button>`)}</span><${Problem} error=${error} />
        ${asked && html`<${Confirm} question=${`Cancel ${titleOf(job)}?`} onYes=${() => run("cancel")} onNo=${() => setAsked(false)} />`}</li>`;
}

export function Transfers({ me }) {
    const [state, setState] = useState("");
    const jobs = useData(() => ask(`/api/jobs${state ? `?state=${state}` : ""}`), [state], { kinds: ["job."], seconds: 10 });
    const exports_ = useData(() => ask("/api/exports"), [], { kinds: ["job.ended"], seconds: 60 });
    const may = me.role === "operator" || me.role === "admin", rows = rowsOf(jobs);
    return html`<h1>Transfers</h1><form class="filter" onSubmit=${e => e.preventDefault()}>
            <select aria-label="State" value=${state} onChange=${e => setState(e.target.value)}><option value="">All states</option>
                ${STATES.map(s => html`<option value=${s}>${s}</option>`)}</select></form>
        <${Problem} error=${jobs.error} />${jobs.data && html`<p class="count" role="status">${rows.length > 0 ? many(rows.length, "job")
            : state ? `No job is ${state}.` : "There are no jobs: what is sent, fetched, exported or printed shows up here."}</p>`}
        <ul class="jobs">${rows.map(job => html`<${Job} key=${job.id} job=${job} may=${may} files=${rowsOf(exports_)} onDone=${jobs.again} />`)}</ul>`;
}

// ---- system ----

const isBytes = key => /bytes|^free$|^total$|^journal_|size$/.test(key);
const shown = (key, value) => value === null || value === "" ? "–" : typeof value === "boolean" ? (value ? "yes" : "no")
    : typeof value === "number" ? (isBytes(key) ? size(value) : value.toLocaleString("en"))
    : typeof value === "object" ? JSON.stringify(value) : /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) ? time(Date.parse(value)) : value;
const wordsOf = key => key.replaceAll("_", " ");

function Trash() {
    const [error, setError] = useState(null);
    const { data, error: unread, again } = useData(() => ask("/api/trash"), [], { kinds: ["study."] });
    const restore = id => post(`/api/trash/${id}/restore`).then(() => setError(null), setError).then(again);
    return html`<h2>Trash</h2><${Problem} error=${error || unread} />
        ${data && data.rows.length === 0 && html`<p class="count">It is empty.</p>`}
        <ul class="jobs trash">${((data && data.rows) || []).map(row => html`<li>${Object.entries(row).map(([key, value]) =>
            html`<span><small>${wordsOf(key)}</small> ${shown(key, value)}</span>`)}
            <span class="buttons"><button aria-label=${`Restore ${row.id}`} onClick=${() => restore(row.id)}>Restore</button></span></li>`)}</ul>`;
}

const ROLES = [["viewer", "looks"], ["operator", "jobs, nodes and machines, too"], ["admin", "deletes, trash and users, too"]];
const Roles = ({ value, label, onChange }) => html`<select aria-label=${label} value=${value} onChange=${e => onChange(e.target.value)}>
    ${ROLES.map(([role, words]) => html`<option value=${role}>${role}: ${words}</option>`)}</select>`;

function Password({ name, onDone, onClose }) {
    const box = useRef();
    const [error, setError] = useState(null);
    useEffect(() => { box.current.showModal(); }, []);
    const change = event => {
        event.preventDefault();
        return post(`/api/users/${encodeURIComponent(name)}`, { password: new FormData(event.target).get("password") }).then(onDone, setError);
    };
    return html`<dialog ref=${box} onClose=${onClose} aria-label=${`New password of ${name}`}><form onSubmit=${change}><h2>New password of ${name}</h2>
        <label>Password <input name="password" type="password" autocomplete="new-password" required minlength="8" /></label>
        <p class="hint">At least 8 characters. Sessions of ${name} end.</p><${Problem} error=${error} />
        <p class="buttons"><button type="button" onClick=${onClose}>Cancel</button><button class="main">Change</button></p></form></dialog>`;
}

function User({ user, onDone }) {
    const [asked, setAsked] = useState(null);
    const [error, setError] = useState(null);
    const path = `/api/users/${encodeURIComponent(user.name)}`;
    const done = () => { setAsked(null); setError(null); onDone(); };
    const failed = failure => { setAsked(null); setError(failure); onDone(); };
    return html`<li><b>${user.name}</b><${Roles} label=${`Role of ${user.name}`} value=${user.role} onChange=${role => post(path, { role }).then(done, failed)} />
        <span>${user.last_login ? `last here ${time(user.last_login)}` : "never here"}</span>
        <span class="buttons"><button aria-label=${`New password of ${user.name}`} onClick=${() => setAsked("password")}>Password</button>
            <button class="danger" aria-label=${`Remove ${user.name}`} onClick=${() => setAsked("remove")}>Remove</button></span><${Problem} error=${error} />
        ${asked === "password" && html`<${Password} name=${user.name} onDone=${done} onClose=${() => setAsked(null)} />`}
        ${asked === "remove" && html`<${Confirm} question=${`Remove ${user.name}? His sessions and the screens he looks at end at once.`}
            onYes=${() => ask(path, { method: "DELETE" }).then(done, failed)} onNo=${() => setAsked(null)} />`}</li>`;
}

function NewUser({ first, onDone }) {
    const [error, setError] = useState(null);
    const [role, setRole] = useState(first ? "admin" : "viewer");
    async function add(event) {
        event.preventDefault();
        const form = event.target, values = new FormData(form);
        await post("/api/users", { name: values.get("name"), password: values.get("password"), role: first ? "admin" : role })
            .then(() => { form.reset(); setError(null); onDone(); }, setError);
    }
    return html`<form class="filter" onSubmit=${add} aria-label="A new user"><input name="name" aria-label="Name of the new user" placeholder="Name" required autocomplete="off" />
        <input name="password" type="password" aria-label="Password of the new user" placeholder="Password" required minlength="8" autocomplete="new-password" />
        ${first ? html`<span>as admin</span>` : html`<${Roles} label="Role of the new user" value=${role} onChange=${setRole} />`}<button>Add</button></form><${Problem} error=${error} />`;
}

function Users() {
    const { data, error, again } = useData(() => ask("/api/users"), []);
    const rows = (data && data.rows) || [];
    return html`<h2>Users</h2><${Problem} error=${error} />
        ${data && rows.length === 0 && html`<p>There are none: nobody has to log in. The first one is an admin, and ends that.</p>`}
        <ul class="jobs">${rows.map(user => html`<${User} key=${user.name} user=${user} onDone=${again} />`)}</ul>
        ${data && html`<${NewUser} key=${rows.length === 0} first=${rows.length === 0} onDone=${again} />`}`;
}

function Log() {
    const [open, setOpen] = useState(false);
    const { data, error } = useData(() => open ? ask("/api/log") : null, [open], { seconds: 5 });
    return html`<h2>Log</h2><p class="buttons"><button aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? "Hide" : "Show"} the last lines</button></p>
        <${Problem} error=${error} />${open && data && html`<pre class="log" tabindex="0" aria-label="The last lines of the log, the newest first">${data.rows.map(line =>
            html`<span class=${/^\S+ (warn|error) /.test(line) ? "problem" : ""}>${line}${"\n"}</span>`)}</pre>`}`;
}

function OwnPassword() {
    const [said, setSaid] = useState("");
    const [error, setError] = useState(null);
    async function change(event) {
        event.preventDefault();
        const form = event.target, values = new FormData(form);
        await post("/api/password", { old: values.get("old"), new: values.get("new") })
            .then(() => { form.reset(); setError(null); setSaid("It is changed: please log in again."); }, failure => { setSaid(""); setError(failure); });
    }
    return html`<h2>Your password</h2><form class="filter" onSubmit=${change} aria-label="Your password">
        <input name="old" type="password" aria-label="Old password" placeholder="Old password" required autocomplete="current-password" />
        <input name="new" type="password" aria-label="New password" placeholder="New password" required minlength="8" autocomplete="new-password" /><button>Change</button></form>
        <p role="status">${said}</p><${Problem} error=${error} />`;
}

function Volumes() {
    const { data, error } = useData(() => ask("/api/volumes"), [], { kinds: ["volume."], seconds: 30 });
    return html`<${Problem} error=${error} />${((data && data.rows) || []).map(({ volume, ...row }) => html`<h2>Volume ${volume}</h2><dl>${Object.entries(row)
        .filter(([, value]) => typeof value !== "object").map(([key, value]) => html`<div><dt>${wordsOf(key)}</dt><dd>${shown(key, value)}</dd></div>`)}</dl>`)}`;
}

// Numbers that belong together are one group.
const groups = row => [["Archive", Object.entries(row).filter(([, value]) => value === null || typeof value !== "object")],
    ...Object.entries(row).filter(([, value]) => value && typeof value === "object" && !Array.isArray(value)).map(([key, value]) => [key === "since" ? "since the start" : wordsOf(key), Object.entries(value)])];
const upper = words => words[0].toUpperCase() + words.slice(1);

export function System({ me }) {
    const { data, error } = useData(() => ask("/api/status"), [], { kinds: ["volume."], seconds: 10 });
    return html`<h1>System</h1><${Problem} error=${error} />
        ${((data && data.rows) || []).flatMap(groups).map(([title, rows]) => html`<h2>${upper(title)}</h2><dl>${rows.map(([key, value]) =>
            html`<div><dt>${wordsOf(key)}</dt><dd>${shown(key, value)}</dd></div>`)}</dl>`)}
        <${Volumes} />${me.role === "admin" && html`<${Trash} /><${Users} /><${Log} />`}${me.user && html`<${OwnPassword} />`}`;
}
