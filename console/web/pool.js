// The workstations' virtual machines, as vitrine-poold tells them. When it is away the last picture stays, with its age.
import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { ask, Problem, useData } from "./api.js";
import { LongList, useNarrow } from "./list.js";
import { Deed, Screen, Snapshots, useVerbs, VERBS } from "./machine.js";

const SECONDS = 3, MANY = 1000, MANY_SECONDS = 10;

export const wordsOf = seconds => seconds < 60 ? `${seconds} seconds` : seconds < 7200 ? `${Math.floor(seconds / 60)} minutes` : `${Math.floor(seconds / 3600)} hours`;

export function Age({ data }) {
    if (!data || !data.error)
        return null;
    return html`<p class="problem age" role="alert">${data.error}${data.age_s === null ? "" : ` What follows is ${wordsOf(data.age_s)} old.`}</p>`;
}

export const rowsOf = state => (state.data && state.data.rows) || [];

// A list of the pool, asked for anew; a large one not so often.
export function usePool(what) {
    const [many, setMany] = useState(false);
    const state = useData(async () => {
        const data = await ask(`/api/pool/${what}`);
        setMany(data.rows.length > MANY);
        return data;
    }, [what], { seconds: many ? MANY_SECONDS : SECONDS });
    return state;
}

function Machine({ vm, doing, may, onShow, onForget }) {
    const button = (title, show) => html`<button disabled=${!!(doing && doing.verb)} aria-label=${`${title} ${vm.name}`} onClick=${() => onShow({ vm, title, ...show })}>${title}</button>`;
    const count = (vm.snapshots || []).length;
    return html`<div class="machine" data-state=${vm.power_state}><b>${vm.name}</b>
        <span class="state">${doing && doing.verb ? html`${doing.verb} … ${doing.percent !== null && html`<progress max="100" value=${doing.percent} aria-label="Progress"></progress>`}` : vm.power_state}</span>
        <span>${doing && doing.error ? html`<button class="danger" onClick=${onForget} title=${doing.error.message}>${doing.error.message}</button>` : (vm.addresses || []).join(" ")}</span>
        <span class="buttons">${may && (VERBS[vm.power_state] || []).map(([verb, title]) => button(title, { kind: "deed", verb }))}
            ${button(`Snapshots${count ? ` (${count})` : ""}`, { kind: "snapshots" })}
            ${may && vm.power_state === "Running" && button("Screen", { kind: "screen" })}</span></div>`;
}

// Machines by host: headings are rows too.
function grouped(vms) {
    const hosts = new Map();
    for (const vm of vms)
        hosts.set(vm.host || "", [...(hosts.get(vm.host || "") || []), vm]);
    return [...hosts.keys()].sort().flatMap(host => [{ uuid: `host ${host}`, heading: host || "On no host", count: hosts.get(host).length },
        ...hosts.get(host)]);
}

function Shown({ what, may, verbs, onClose }) {
    const { vm } = what;
    if (what.kind === "deed")
        return html`<${Deed} key=${`${vm.uuid} ${what.verb}`} vm=${vm} verb=${what.verb} title=${what.title} run=${verbs.run} done=${onClose} />`;
    if (what.kind === "screen")
        return html`<${Screen} key=${vm.uuid} vm=${vm} onClose=${onClose} />`;
    return html`<${Snapshots} key=${vm.uuid} vm=${vm} may=${may} run=${verbs.run} doing=${verbs.doing[vm.uuid]} onClose=${onClose} />`;
}

export function Workstations({ me }) {
    const [word, setWord] = useState("");
    const [state, setState] = useState("");
    const [shown, setShown] = useState(null);
    const narrow = useNarrow();
    const pool = usePool("vms");
    const verbs = useVerbs(pool.again);
    const may = me.role === "operator" || me.role === "admin";
    const all = rowsOf(pool), small = word.toLowerCase();
    const found = all.filter(vm => (!state || vm.power_state === state) &&
        [vm.name, vm.host || "", ...(vm.addresses || [])].some(value => value.toLowerCase().includes(small)));
    return html`<h1>Workstations</h1>
        <form class="filter sticky" role="search" onSubmit=${e => e.preventDefault()}>
            <input type="search" aria-label="Name, host or address" placeholder="Name, host or address" value=${word} onInput=${e => setWord(e.target.value)} />
            <select aria-label="State" value=${state} onChange=${e => setState(e.target.value)}><option value="">All states</option>
                ${["Running", "Halted", "Suspended", "Paused"].map(s => html`<option value=${s}>${s}</option>`)}</select></form>
        <${Problem} error=${pool.error} /><${Age} data=${pool.data} />
        ${pool.data && html`<p class="count" role="status">${found.length} of ${all.length}</p>`}
        <${LongList} items=${grouped(found)} height=${narrow ? 128 : 48} keyOf=${row => row.uuid} label="Virtual machines" draw=${row => row.heading
            ? html`<h2>${row.heading} <small>${row.count}</small></h2>`
            : html`<${Machine} vm=${row} may=${may} doing=${verbs.doing[row.uuid]} onShow=${setShown} onForget=${() => verbs.forget(row)} />`} />
        ${shown && html`<${Shown} what=${shown} may=${may} verbs=${verbs} onClose=${() => setShown(null)} />`}`;
}
