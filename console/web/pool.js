// The workstations' virtual machines, as vitrine-poold tells them. When it is away the last picture stays, with its age.
import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { ask, duration, Problem, useData } from "./api.js";
import { LongList, useNarrow } from "./list.js";
import { Deed, DEEDS, Impact, runMany, Screen, Snapshots, useVerbs, VERBS } from "./machine.js";

const TASKS = 5, SECONDS = 5, MANY = 1000, MANY_SECONDS = 15, CALM_MS = 250, MANY_CALM_MS = 3000;

export function Age({ data }) {
    if (!data || !data.error)
        return null;
    return html`<p class="problem age" role="alert">${data.error}${data.age_s === null ? "" : ` What follows is ${duration(data.age_s)} old.`}</p>`;
}

export const rowsOf = state => (state.data && state.data.rows) || [];

// A list of the pool, asked for anew when the daemon tells of a change; a large one not so often.
export function usePool(what) {
    const [many, setMany] = useState(false);
    const state = useData(async () => {
        const data = await ask(`/api/pool/${what}`);
        setMany(data.rows.length > MANY);
        return data;
    }, [what], { kinds: ["pool."], seconds: many ? MANY_SECONDS : SECONDS, calm: many ? MANY_CALM_MS : CALM_MS });
    return state;
}

function Machine({ vm, doing, may, picked, onPick, onShow, onForget }) {
    const button = (title, show) => html`<button disabled=${!!(doing && doing.verb)} aria-label=${`${title} ${vm.name}`} onClick=${() => onShow({ vm, title, ...show })}>${title}</button>`;
    const count = (vm.snapshots || []).length;
    return html`<div class="machine" data-state=${vm.power_state}><label class="name">${may && html`<input type="checkbox" checked=${picked} onChange=${onPick}
            aria-label=${`Choose ${vm.name}`} /> `}<b>${vm.name}</b></label>
        <span class="state">${doing && doing.verb ? html`${doing.verb} … ${doing.percent !== null && html`<progress max="100" value=${doing.percent} aria-label=${`${doing.verb} ${vm.name}: ${doing.percent} %`}></progress>`}` : vm.power_state}</span>
        <span>${doing && doing.error ? html`<button class="danger failed" onClick=${onForget} title=${`${doing.error.message} (click: seen)`}>${doing.error.message}</button>` : (vm.addresses || []).join(" ")}</span>
        <span class="buttons">${may && (VERBS[vm.power_state] || []).map(([verb, title]) => button(title, { kind: "deed", verb }))}
            ${button(`Snapshots${count ? ` (${count})` : ""}`, { kind: "snapshots" })}
            ${may && vm.power_state === "Running" && button("Screen", { kind: "screen" })}</span></div>`;
}

// Machines by host: headings are rows too. Those on no host come last.
function grouped(vms) {
    const hosts = new Map();
    for (const vm of vms)
        hosts.set(vm.host || "", [...(hosts.get(vm.host || "") || []), vm]);
    const order = [...hosts.keys()].sort((a, b) => !a - !b || a.localeCompare(b));
    return order.flatMap(host => [{ uuid: `host ${host}`, heading: host || "On no host", vms: hosts.get(host) }, ...hosts.get(host)]);
}

const runningOf = vms => vms.filter(vm => vm.power_state === "Running").length;

// What can be done to all that are chosen.
function Chosen({ vms, onShow, onClear }) {
    const verbs = DEEDS.map(([verb, title]) => ({ verb, title, takes: vms.filter(vm => (VERBS[vm.power_state] || []).some(([which]) => which === verb)) }))
        .filter(row => row.takes.length > 0);
    return html`<p class="buttons chosen" role="group" aria-label="To all that are chosen"><b role="status">${vms.length} chosen</b>
        ${verbs.map(({ verb, title, takes }) => html`<button aria-label=${`${title} ${takes.length} of the chosen machines`} onClick=${() => onShow({ kind: "many", verb, title, vms: takes })}>${title} (${takes.length})</button>`)}
        <button onClick=${onClear}>Choose none</button></p>`;
}

function Shown({ what, may, verbs, onClose }) {
    const { vm } = what;
    if (what.kind === "many")
        return html`<${Impact} vms=${what.vms} verb=${what.verb} title=${what.title} onYes=${taken => { runMany(verbs.run, taken, what.verb); onClose(); }} onNo=${onClose} />`;
    if (what.kind === "deed")
        return html`<${Deed} key=${`${vm.uuid} ${what.verb}`} vm=${vm} verb=${what.verb} title=${what.title} run=${verbs.run} done=${onClose} />`;
    if (what.kind === "screen")
        return html`<${Screen} key=${vm.uuid} vm=${vm} onClose=${onClose} />`;
    return html`<${Snapshots} key=${vm.uuid} vm=${vm} may=${may} run=${verbs.run} doing=${verbs.doing[vm.uuid]} onClose=${onClose} />`;
}

// What the pool works on, whoever asked for it.
function Tasks() {
    const rows = rowsOf(usePool("tasks")).filter(task => task.status === "pending").slice(0, TASKS);
    return rows.length > 0 && html`<ul class="tasks" aria-label="What the pool works on">${rows.map(task => html`<li key=${task.uuid}><progress max="1" value=${task.progress}
        aria-label=${`${task.name}: ${Math.round(task.progress * 100)} %`}></progress> ${task.name} <small>${Math.round(task.progress * 100)} %</small></li>`)}</ul>`;
}

const EMPTY = { word: "", host: "", state: "" };

function Filter({ wish, hosts, onWish }) {
    const set = change => onWish({ ...wish, ...change });
    return html`<form class="filter" role="search" onSubmit=${e => e.preventDefault()}>
        <input type="search" aria-label="Name, host or address" placeholder="Name, host or address" value=${wish.word} onInput=${e => set({ word: e.target.value })} />
        <select aria-label="Host" value=${wish.host} onChange=${e => set({ host: e.target.value })}><option value="">All hosts</option>
            ${hosts.map(host => html`<option value=${host}>${host}</option>`)}</select>
        <select aria-label="State" value=${wish.state} onChange=${e => set({ state: e.target.value })}><option value="">All states</option>
            ${["Running", "Halted", "Suspended", "Paused"].map(s => html`<option value=${s}>${s}</option>`)}</select></form>`;
}

const matches = (vm, wish, small) => (!wish.state || vm.power_state === wish.state) && (!wish.host || vm.host === wish.host) &&
    [vm.name, vm.host || "", ...(vm.addresses || [])].some(value => value.toLowerCase().includes(small));

export function Workstations({ me }) {
    const [wish, setWish] = useState(EMPTY);
    const [shown, setShown] = useState(null);
    const [picked, setPicked] = useState(new Set());
    const narrow = useNarrow(), pool = usePool("vms"), verbs = useVerbs(pool.again);
    const may = me.role === "operator" || me.role === "admin";
    const all = rowsOf(pool), small = wish.word.toLowerCase(), found = all.filter(vm => matches(vm, wish, small));
    const chosen = all.filter(vm => picked.has(vm.uuid)), hosts = [...new Set(all.map(vm => vm.host).filter(Boolean))].sort();
    const pick = (vms, on) => setPicked(old => new Set(on ? [...old, ...vms.map(vm => vm.uuid)] : [...old].filter(uuid => !vms.some(vm => vm.uuid === uuid))));
    const heading = row => html`<h2>${may ? html`<label><input type="checkbox" checked=${row.vms.every(vm => picked.has(vm.uuid))} aria-label=${`Choose all of: ${row.heading}`}
        onChange=${e => pick(row.vms, e.target.checked)} /> ${row.heading}</label>` : row.heading} <small>${runningOf(row.vms)} of ${row.vms.length} run</small></h2>`;
    return html`<h1>Workstations</h1><div class="sticky"><${Filter} wish=${wish} hosts=${hosts} onWish=${setWish} /></div>
        <${Problem} error=${pool.error} /><${Age} data=${pool.data} />
        ${pool.data && html`<p class="count" role="status">${found.length} of ${all.length}</p>`}
        ${may && chosen.length > 0 && html`<${Chosen} vms=${chosen} onShow=${setShown} onClear=${() => setPicked(new Set())} />`}
        <${Tasks} />
        ${pool.data && all.length === 0 && !pool.data.error && html`<p class="count">The pool has no machines.</p>`}
        <${LongList} items=${grouped(found)} height=${narrow ? 140 : 48} keyOf=${row => row.uuid} label="Virtual machines" draw=${row => row.heading ? heading(row)
            : html`<${Machine} vm=${row} may=${may} doing=${verbs.doing[row.uuid]} picked=${picked.has(row.uuid)} onPick=${e => pick([row], e.target.checked)}
                onShow=${setShown} onForget=${() => verbs.forget(row)} />`} />
        ${shown && html`<${Shown} what=${shown} may=${may} verbs=${verbs} onClose=${() => setShown(null)} />`}`;
}
