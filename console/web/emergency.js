// Emergency: when no master answers. The steps are done at the command line by an administrator, who has read them here; the console
// never does them.
import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { ask, Problem } from "./api.js";
import { Age, rowsOf, usePool } from "./pool.js";

const STEPS = [
    ["Repair the old master, when that is quick: the others find it again by themselves.", null],
    ["Else switch it off for certain. Two masters on one storage destroy data. Then make another host the master; the others are told to follow it.", "vitrine pool emergency promote HOST"],
    ["A member that does not follow:", "vitrine pool emergency follow HOST MASTER-ADDRESS"],
    ["Machines of the dead host still read Running:", "vitrine pool emergency declare-dead HOST"],
    ["Then start them elsewhere:", "vitrine vm start VM..."],
];

function Asked({ rows }) {
    return html`<ul class="facts-list">${rows.map(row => html`<li><span><b>${row.name}</b> ${row.address}</span><span>${row.state}</span>
        <span>${row.says}${row.follows ? ` follows ${row.follows}` : ""}</span></li>`)}</ul>`;
}

export function Emergency({ me }) {
    const pool = usePool("status"), hosts = usePool("hosts"), vms = usePool("vms");
    const [asked, setAsked] = useState(null);
    const [asking, setAsking] = useState(false);
    const [error, setError] = useState(null);
    async function members() {
        setAsking(true);
        const answer = await ask("/api/pool/emergency").catch(failure => ({ error: failure.message, rows: [] }));
        setAsking(false);
        setError(answer.error ? new Error(answer.error) : null);
        setAsked(answer.error ? null : answer.rows);
    }
    const calm = pool.data && !pool.data.error && rowsOf(pool).length > 0 && rowsOf(pool)[0].answers !== false;
    const ranOn = host => rowsOf(vms).filter(vm => vm.host === host.name && vm.power_state === "Running").map(vm => vm.name);
    return html`<h1>Emergency</h1><${Problem} error=${pool.error} /><${Age} data=${hosts.data} />
        <p class=${calm ? "fine" : "problem"} role="status">${!pool.data ? "" : calm ? "A master answers: there is no emergency." : "No master answers. What follows is the last that was known."}</p>
        <h2>Members</h2><ul class="jobs members">${rowsOf(hosts).map(host => html`<li data-state=${host.live ? "Running" : "failed"}><b>${host.name}</b><span>${host.address}</span>
            <span class="state">${host.role}${host.live ? "" : ", not alive"}${host.enabled ? "" : ", disabled"}</span>
            <span>${ranOn(host).length ? `runs ${ranOn(host).slice(0, 12).join(" ")}${ranOn(host).length > 12 ? ` and ${ranOn(host).length - 12} more` : ""}` : "runs nothing"}</span></li>`)}</ul>
        ${me.role === "admin" && html`<p class="buttons"><button disabled=${asking} onClick=${members}>Ask each member now</button>
            <span role="status">${asking ? "By the local logon of each; silent ones take a while …" : ""}</span></p>`}
        <${Problem} error=${error} />${asked && html`<${Asked} rows=${asked} />`}
        <h2>Steps</h2><ol class="steps">${STEPS.map(([words, command]) => html`<li>${words}${command && html`<code>${command}</code>`}</li>`)}</ol>
        <p class="hint">Each step asks for a name to be typed and is written to emergency.log. It is done at the command line of the pool's machine,
            never from a browser.</p>`;
}
