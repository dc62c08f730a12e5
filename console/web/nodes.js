// Nodes: the peers of the configuration; whether one answers, how it takes us, and what went wrong with it.
import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { ask, post, Problem, useData } from "./api.js";

const ms = value => `${value.toFixed(1)} ms`;

function Echo({ echo }) {
    if (!echo)
        return null;
    if (echo === "asking")
        return html`<span>asking …</span>`;
    return echo.ok ? html`<span class="fine">answered in ${ms(echo.echo_ms)}, association in ${ms(echo.associate_ms)}</span>`
        : html`<span class="problem">${echo.error}</span>`;
}

function Explained({ told }) {
    return html`<div class="below"><p>${told.host ? `We reach it at ${told.host} port ${told.port}${told.tls ? " by TLS" : ""} and call ourselves ${told.local_ae_title}.`
            : "It has no host: it may call us, we never call it."}
        ${told.from ? ` It may call us from ${told.from} only.` : ""} Of us it may use: ${told.allow.join(", ") || "nothing"}.</p>
        ${told.answers === false && html`<p class="problem">It does not answer us now: ${told.error}.</p><p><b>Remedy:</b> ${told.remedy}.</p>`}
        ${told.contexts && told.contexts.length > 0 && html`<p>Of what we asked for, it takes:</p><ul class="facts-list">${told.contexts.map(row => html`<li>
            <span>${row.service}</span><span>${row.result}</span><span>${row.transfer_syntax}</span></li>`)}</ul>`}
        <p>${told.failures.length === 0 ? "The node remembers no failure with it." : "What went wrong with it lately:"}</p>
        <ul class="facts-list">${told.failures.slice(0, 5).map(row => html`<li><span>${row.at}</span><span>${row.what}</span><span>${row.text}</span></li>`)}</ul></div>`;
}

function Peer({ peer, may }) {
    const [echo, setEcho] = useState(null);
    const [told, setTold] = useState(null);
    const [error, setError] = useState(null);
    const path = `/api/nodes/${encodeURIComponent(peer.name)}`;
    async function test() {
        setEcho("asking");
        setEcho(await post(`${path}/echo`).catch(failure => ({ ok: false, error: failure.message })));
    }
    const explain = () => told ? setTold(null) : post(`${path}/explain`).then(setTold, setError);
    return html`<li class="peer"><div class="peer-row"><b>${peer.name}</b><span>${peer.ae_title}</span><span>${peer.host ? `${peer.host}:${peer.port}` : "calls us only"}</span>
            <span role="status"><${Echo} echo=${echo} /></span>
            <span class="buttons">${may && peer.host && html`<button aria-label=${`Echo ${peer.name}`} onClick=${test}>Echo</button>`}
                ${may && html`<button aria-expanded=${!!told} aria-label=${`Explain ${peer.name}`} onClick=${explain}>Explain</button>`}</span></div>
        <${Problem} error=${error} />${told && html`<${Explained} told=${told} />`}</li>`;
}

export function Nodes({ me }) {
    const { data, error } = useData(() => ask("/api/nodes"), [], { seconds: 30 });
    const may = me.role === "operator" || me.role === "admin";
    return html`<h1>Nodes</h1><${Problem} error=${error} />
        ${data && html`<p class="count" role="status">${data.rows.length === 0 ? "No node is configured: [peer \"NAME\"] sections make them known."
            : `${data.rows.length} ${data.rows.length === 1 ? "node" : "nodes"}`}</p>`}
        <ul class="peers">${((data && data.rows) || []).map(peer => html`<${Peer} key=${peer.name} peer=${peer} may=${may} />`)}</ul>`;
}
