// The monitor of the network: a lane for each virtual machine, with what was lost, snapshots and transfers over time.
import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, dayOf, many, minutes, Problem, time, useData } from "./api.js";
import { follow } from "./machine.js";
import { LongList, useNarrow } from "./list.js";
import { Age, rowsOf, usePool } from "./pool.js";

const SPANS = [["15 minutes", 900e3], ["1 hour", 3600e3], ["6 hours", 6 * 3600e3], ["24 hours", 24 * 3600e3], ["7 days", 7 * 24 * 3600e3]];
const LANE = 1000, TALL = 24, OPEN_SHOWN = 20, MARKS = 5;

const at = text => text ? Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)T/, "$1-$2-$3T")) : 0;
const when = text => time(at(text));

// What belongs to each machine, by its uuid.
function gather({ vms, watched, incidents, snapshots, jobs, peers }) {
    const lanes = new Map(vms.map(vm => [vm.uuid, { vm, watch: null, incidents: [], snapshots: [], transfers: [] }]));
    const byName = new Map([...lanes.values()].map(lane => [lane.vm.name, lane]));
    const byPeer = new Map(peers.map(peer => [peer.name, [...lanes.values()].find(lane => lane.vm.name === peer.name ||
        (lane.vm.addresses || []).includes(peer.host))]));
    const own = row => lanes.get(row.vm_uuid) || byName.get(row.vm);
    for (const row of watched)
        if (own(row))
            own(row).watch = row;
    for (const row of incidents)
        for (const lane of row.vms ? row.vms.map(name => byName.get(name)) : [own(row)])
            if (lane)
                lane.incidents.push(row);
    for (const row of snapshots)
        if (byName.get(row.vm))
            byName.get(row.vm).snapshots.push(row);
    for (const job of jobs)
        if (byPeer.get(job.key))
            byPeer.get(job.key).transfers.push(job);
    return [...lanes.values()];
}

const trouble = lane => lane.incidents.some(row => !row.closed) ? 0 : lane.watch ? 1 : 2;
const sorted = lanes => lanes.sort((a, b) => trouble(a) - trouble(b) || a.vm.name.localeCompare(b.vm.name));

function Bar({ from, to, view, kind, words }) {
    const place = at_ => (at_ - view.from) / (view.to - view.from) * LANE;
    const least = kind === "shot" ? 4 : 6, left = Math.max(0, place(from)), right = Math.min(LANE, place(to));
    return right > 0 && left < LANE && html`<rect class=${`bar ${kind}`} x=${Math.min(left, LANE - least)} width=${Math.max(least, right - left)} y=${kind === "transfer" ? 17 : 3}
        height=${kind === "transfer" ? 4 : kind === "watched" ? 5 : 10}><title>${words}</title></rect>`;
}

function Line({ lane, view }) {
    const { watch } = lane;
    return html`<svg class="line" viewBox=${`0 0 ${LANE} ${TALL}`} preserveAspectRatio="none" role="img" aria-label=${`${lane.vm.name}: ${lane.incidents.length} incidents, ${lane.snapshots.length} snapshots, ${lane.transfers.length} transfers`}>
        ${watch && watch.state === "answers" && html`<${Bar} from=${at(watch.since)} to=${view.to} view=${view} kind="watched" words=${`answers since ${when(watch.since)}`} />`}
        ${lane.incidents.map(row => html`<${Bar} from=${at(row.opened)} to=${row.closed ? at(row.closed) : view.to} view=${view}
            kind=${row.class} words=${`${row.class}, ${when(row.opened)} to ${row.closed ? when(row.closed) : "now"}`} />`)}
        ${lane.snapshots.map(row => html`<${Bar} from=${at(row.time)} to=${at(row.time)} view=${view} kind="shot" words=${`${row.kind} ${row.name}`} />`)}
        ${lane.transfers.map(job => html`<${Bar} from=${job.created} to=${job.ended || view.to} view=${view} kind="transfer"
            words=${`${job.kind} to ${job.key}: ${job.done} of ${job.total}, ${job.state}`} />`)}</svg>`;
}

function Lane({ lane, view, onOpen }) {
    const open = lane.incidents.find(row => !row.closed);
    return html`<button class="lane" data-open=${open ? "yes" : "no"} data-state=${open ? "lost" : lane.watch ? lane.watch.state : ""} onClick=${onOpen} aria-label=${`What happened to ${lane.vm.name}`}>
        <b>${lane.vm.name}</b><span class="state">${open ? open.class : lane.watch ? lane.watch.state.replaceAll("-", " ") : "not watched"}</span>
        <${Line} lane=${lane} view=${view} /></button>`;
}

function Scale({ view }) {
    const text = at_ => view.to - view.from > 86400e3 ? dayOf(new Date(at_)) : minutes(at_);
    return html`<div class="lane scale" aria-hidden="true"><b></b><span></span><span class="marks">${Array.from({ length: MARKS }, (_, i) =>
        html`<small>${text(view.from + (view.to - view.from) * i / (MARKS - 1))}</small>`)}</span></div>`;
}

// ---- one incident, with its evidence ----

function Value({ value }) {
    if (value === null || value === "")
        return html`<i>none</i>`;
    if (Array.isArray(value))
        return value.length === 0 ? html`<i>none</i>` : html`<ol>${value.map(one => html`<li><${Value} value=${one} /></li>`)}</ol>`;
    if (typeof value === "object")
        return html`<div class="facts">${Object.entries(value).map(([key, one]) => html`<span><small>${key.replaceAll("_", " ")}</small> <${Value} value=${one} /></span>`)}</div>`;
    if (typeof value === "boolean")
        return value ? "yes" : "no";
    return /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) ? time(Date.parse(value)) : String(value);
}

function Incident({ id }) {
    const { data, error } = useData(() => ask(`/api/pool/incidents/${id}`), [id], { seconds: 5 });
    const whole = data && data.rows[0];
    return html`<${Problem} error=${error} />${whole && html`<div class="evidence"><dl>
            ${[["class", whole.class], ["opened", when(whole.opened)], ["closed", when(whole.closed) || "still so"], ["reason", whole.reason],
               ["snapshot", whole.snapshot || whole.snapshot_state || "none"]].map(([key, value]) => html`<div><dt>${key}</dt><dd>${value}</dd></div>`)}</dl>
        ${[["Evidence", whole.evidence], ["Evidence at the end", whole.evidence_at_end], ["Members", whole.members], ["Snapshots", whole.snapshots],
           ["History", whole.history]].filter(([, value]) => value && Object.keys(value).length > 0).map(([title, value], i) =>
            html`<details open=${i === 0}><summary>${title}</summary><${Value} value=${value} /></details>`)}</div>`}`;
}

// Watched or not: one rule for this machine; a rule of its host or tag is for the command line.
function Watching({ lane, onChange }) {
    const [busy, setBusy] = useState(false);
    const [error, setError] = useState(null);
    async function change(verb) {
        setBusy(true);
        await follow(`/api/pool/vms/${lane.vm.uuid}/${verb}`, {}, () => {}).then(() => setError(null), setError);
        setBusy(false);
        onChange();
    }
    return html`<${Problem} error=${error} /><span>${lane.watch ? html`<button disabled=${busy} onClick=${() => change("unwatch")}>Stop watching</button>`
        : html`<button class="main" disabled=${busy} onClick=${() => change("watch")}>Watch it</button>`}</span>`;
}

function History({ lane, may, onChange, onClose }) {
    const box = useRef();
    const newest = [...lane.incidents].reverse();
    const [id, setId] = useState(newest.length ? newest[0].id : null);
    useEffect(() => { box.current.showModal(); }, []);
    return html`<dialog class="wide" ref=${box} onClose=${onClose} aria-label=${`What happened to ${lane.vm.name}`}><h2>${lane.vm.name}</h2>
        <p>${lane.watch ? `Watched by ${lane.watch.probe} at ${lane.watch.address || "no address"}, port ${lane.watch.port}: ${lane.watch.state}.` : "It is not watched."}
            ${newest.length === 0 ? " There is no incident of it." : ""}</p>
        <div class="buttons">${newest.map(row => html`<button aria-pressed=${row.id === id} onClick=${() => setId(row.id)}>${row.class}, ${when(row.opened)}</button>`)}</div>
        ${id !== null && html`<${Incident} key=${id} id=${id} />`}<p class="buttons">${may && html`<${Watching} lane=${lane} onChange=${onChange} />`}
        <button onClick=${onClose}>Close</button></p></dialog>`;
}

export function Monitor({ me }) {
    const [span, setSpan] = useState(SPANS[1][1]);
    const [word, setWord] = useState("");
    const [opened, setOpened] = useState(null);
    const narrow = useNarrow();
    const incidents = usePool("incidents"), watched = usePool("watch"), vms = usePool("vms"), snapshots = usePool("snapshots");
    const jobs = useData(() => ask("/api/jobs?limit=1000"), [], { kinds: ["job."], seconds: 10 });
    const peers = useData(() => ask("/api/nodes"), []);
    const view = { from: Date.now() - span, to: Date.now() };
    const lanes = sorted(gather({ vms: rowsOf(vms), watched: rowsOf(watched), incidents: rowsOf(incidents), snapshots: rowsOf(snapshots),
                                  jobs: rowsOf(jobs), peers: rowsOf(peers) }));
    const found = lanes.filter(lane => lane.vm.name.toLowerCase().includes(word.toLowerCase()));
    const all = rowsOf(incidents), open = all.filter(row => !row.closed).reverse();
    const lane = opened && lanes.find(one => one.vm.uuid === opened);
    return html`<h1>Network monitor</h1><${Problem} error=${incidents.error || vms.error} /><${Age} data=${incidents.data} />
        ${incidents.data && html`<p class="count" role="status">${many(all.length, "incident")}, ${open.length} open;
            ${" "}${many(rowsOf(watched).length, "virtual machine")} watched</p>`}
        ${watched.data && !watched.data.error && rowsOf(watched).length === 0 && html`<p>No machine is watched: open one below, and choose to watch it. When it stops answering, what happened appears here.</p>`}
        <ul class="incidents">${open.slice(0, OPEN_SHOWN).map(row => html`<li class="now"><b>${row.vm || (row.vms ? `${row.vms.length} machines` : "link")}</b>
            <span class="state">${row.class}</span><span>since ${when(row.opened)}</span><span>still so</span>
            <span>${row.snapshot ? "snapshot taken" : row.reason || "no snapshot"}</span></li>`)}</ul>
        <form class="filter sticky" role="search" onSubmit=${e => e.preventDefault()}>
            <input type="search" aria-label="Name of a machine" placeholder="Name of a machine" value=${word} onInput=${e => setWord(e.target.value)} />
            <select aria-label="Time" value=${span} onChange=${e => setSpan(Number(e.target.value))}>${SPANS.map(([title, ms]) => html`<option value=${ms}>${title}</option>`)}</select></form>
        <p class="legend" aria-hidden="true"><i class="bar watched"></i> answers <i class="bar network-lost"></i> network lost <i class="bar service-down"></i> service down
            <i class="bar host-lost"></i> other loss <i class="bar shot"></i> snapshot <i class="bar transfer"></i> transfer</p>
        <${Scale} view=${view} /><${LongList} items=${found} height=${narrow ? 72 : 40} keyOf=${one => one.vm.uuid} label="Lanes of virtual machines"
            draw=${one => html`<${Lane} lane=${one} view=${view} onOpen=${() => setOpened(one.vm.uuid)} />`} />
        ${lane && html`<${History} key=${opened} lane=${lane} may=${me.role === "operator" || me.role === "admin"} onChange=${watched.again} onClose=${() => setOpened(null)} />`}`;
}
