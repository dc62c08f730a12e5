// Now: what is wrong, what arrives and leaves, how much room there is.
import { html } from "htm/preact";
import { useRef } from "preact/hooks";
import { ask, day, many, person, Problem, size, text, time, useData, WEB } from "./api.js";
import { Progress } from "./system.js";
import { Age, rowsOf, usePool } from "./pool.js";

const FULL = 0.9, RECENT = 8, SOON_DAYS = 400;

// Instances a second between two looks.
function useRate(data) {
    const last = useRef(null), rate = useRef(0);
    if (data && (!last.current || last.current.data !== data)) {
        const now = performance.now();
        if (last.current)
            rate.current = Math.max(0, (data.instances - last.current.data.instances) * 1000 / Math.max(200, now - last.current.at));
        last.current = { data, at: now };
    }
    return rate.current;
}

const sentence = words => words && `${words[0].toUpperCase()}${words.slice(1)}.`;
const usedPart = volume => volume.total > 0 ? 1 - volume.free / volume.total : volume.size_bytes > 0 ? 1 - volume.free_bytes / volume.size_bytes : 0;

function alarms({ archive, pool, incidents, failed, volumes, storage }) {
    const list = [], [row] = rowsOf(archive);
    if (row && row.writable === false)
        list.push(["The archive is read-only.", "#/system"]);
    if (pool.data && pool.data.error && pool.data.age_s !== null)
        list.push([pool.data.error, "#/emergency"]);
    for (const row of rowsOf(incidents).filter(one => !one.closed))
        list.push([`${row.vm || (row.vms ? `${row.vms.length} machines` : "A link")}: ${row.class}. ${sentence(row.reason || "")}`, "#/monitor"]);
    for (const row of [...rowsOf(volumes), ...rowsOf(storage)].filter(one => usedPart(one) > FULL))
        list.push([`${row.name || row.volume} is ${Math.round(usedPart(row) * 100)} % full.`, "#/system"]);
    if (rowsOf(failed).length > 0)
        list.push([`${rowsOf(failed).length} ${rowsOf(failed).length === 1 ? "transfer has" : "transfers have"} failed.`, "#/transfers"]);
    return list;
}

function Arrival({ row }) {
    const { data } = useData(async () => (await ask(`${WEB}/studies?StudyInstanceUID=${row.study}&includefield=StudyDescription`) || [])[0], [row.study]);
    const name = data ? person(text(data, "00100010")) || "(no name)" : "…";
    return html`<li><b>${name}<small>${data && text(data, "00081030")}</small></b><span>${data ? `${text(data, "00080061")} ${day(text(data, "00080020"))}` : ""}</span>
        <span>${many(row.instances, "instance")}<small>${row.aet ? `from ${row.aet}` : "imported here"}</small></span><span>${time(row.last)}</span>
        <span class="buttons"><a class="button" href=${`#/view/${row.study}`} aria-label=${`Show the images of ${name}`}>Show</a></span></li>`;
}

const Leaving = ({ job }) => html`<li data-state=${job.state}><b>${job.kind === job.key ? job.kind : `${job.kind} to ${job.key}`}</b><span class="state">${job.state}</span>
    <${Progress} job=${job} /><span>${job.reason}</span></li>`;

function Room({ row }) {
    const total = row.total || row.size_bytes, free = row.free === undefined ? row.free_bytes : row.free;
    const name = row.name || row.volume;
    return html`<div><dt>${name}</dt><dd>${total > 0 && html`<meter min="0" max="1" high=${FULL} value=${usedPart(row)} aria-label=${`${name} is ${Math.round(usedPart(row) * 100)} % full`}></meter>`}
        ${total > 0 ? `${size(free)} of ${size(total)} free` : `${size(free || 0)} free`}${row.days_until_full > 0 && row.days_until_full < SOON_DAYS ? `, full in ${row.days_until_full} days at this pace` : ""}</dd></div>`;
}

export function Now() {
    const now = useData(() => ask("/api/now"), [], { kinds: ["instance.", "association."], seconds: 5 });
    const running = useData(() => ask("/api/jobs?state=running"), [], { kinds: ["job."], seconds: 10 });
    const waiting = useData(() => ask("/api/jobs?state=waiting"), [], { kinds: ["job."], seconds: 10 });
    const failed = useData(() => ask("/api/jobs?state=failed"), [], { kinds: ["job."], seconds: 30 });
    const volumes = useData(() => ask("/api/volumes"), [], { kinds: ["volume."], seconds: 30 });
    const archive = useData(() => ask("/api/status"), [], { kinds: ["volume."], seconds: 30 });
    const pool = usePool("status"), incidents = usePool("incidents"), storage = usePool("storage");
    const rate = useRate(now.data), list = alarms({ archive, pool, incidents, failed, volumes, storage });
    const callers = ((now.data && now.data.callers) || []).filter(row => row.open > 0);
    const arrivals = [...((now.data && now.data.arrivals) || [])].sort((a, b) => b.last - a.last).slice(0, RECENT);
    const jobs = [...rowsOf(running), ...rowsOf(waiting)], [state] = rowsOf(pool);
    return html`<h1>Now</h1><${Problem} error=${now.error} />
        <section aria-label="Alarms" class="alarms">${list.length === 0 ? [archive, pool, incidents, failed, volumes].every(one => one.data) && html`<p class="fine" role="status">Nothing is wrong.</p>`
            : list.map(([words, link]) => html`<p role="alert"><a href=${link}>${words}</a></p>`)}</section>
        <h2>Arriving</h2><p class="count" role="status">${callers.length === 0 ? "Nobody is connected." : `${callers.map(row => `${row.aet} (${row.open})`).join(", ")} connected.`}
            ${rate > 0 ? ` ${rate < 10 ? rate.toFixed(1) : Math.round(rate)} instances a second.` : ""}</p>
        ${arrivals.length === 0 && html`<p class="count">Nothing has come since the node started.</p>`}
        <ul class="jobs arrivals">${arrivals.map(row => html`<${Arrival} key=${row.study + row.aet} row=${row} />`)}</ul>
        <h2>Leaving</h2>${jobs.length === 0 && html`<p class="count">Nothing is on its way.</p>`}<ul class="jobs">${jobs.slice(0, RECENT).map(job => html`<${Leaving} key=${job.id} job=${job} />`)}</ul>
        <h2>Room</h2><dl>${rowsOf(volumes).map(row => html`<${Room} row=${row} />`)}${rowsOf(storage).filter(row => row.size_bytes > 0).map(row => html`<${Room} row=${row} />`)}</dl>
        <h2>Workstations</h2><${Age} data=${pool.data} />${!state && pool.data && html`<p class="count">No pool is known.</p>`}${state && html`<p>${state.vms_running} of ${state.vms} machines run on ${state.hosts_usable} of ${state.hosts} hosts.</p>`}`;
}
