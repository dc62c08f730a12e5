// Below a study: its series and instances; what is done with it: sent to a node, exported as a job, taken along at once, deleted to the trash.
import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, Confirm, many, post, Problem, text, Thumbnail, useData, WEB } from "./api.js";

function Instances({ study, series }) {
    const { data, error } = useData(() => ask(`${WEB}/studies/${study}/series/${series}/instances`), [study, series], { kinds: ["instance."] });
    return html`<${Problem} error=${error} /><ul class="instances">${(data || []).map(row => {
        const uid = text(row, "00080018"), frames = text(row, "00280008"), number = text(row, "00200013") || "–";
        return html`<li><span class="number">${number}</span>
            <span>${text(row, "00280011")} × ${text(row, "00280010")}${frames > 1 ? `, ${frames} frames` : ""}</span>
            <a href=${`${WEB}/studies/${study}/series/${series}/instances/${uid}/file`} download=${`${uid}.dcm`} aria-label=${`Download instance ${number}`}>Download</a></li>`;
    })}</ul>`;
}

const seriesName = row => `${text(row, "00080060")} ${text(row, "0008103E") || `series ${text(row, "00200011")}`}`.trim();

function OneSeries({ study, row, me, onSend, onExport, onDelete }) {
    const [open, setOpen] = useState(false);
    const may = me.role === "operator" || me.role === "admin", uid = text(row, "0020000E"), name = seriesName(row), of = { study, series: uid, name: `the series ${name}` };
    return html`<li><a class="thumb" href=${`#/view/${study}/${uid}`} aria-label=${`Show the images of ${name}`}>
            <${Thumbnail} of=${`studies/${study}/series/${uid}`} /></a>
        <div><b>${name}</b><span class="count">${many(Number(text(row, "00201209")) || 0, "instance")}</span>
            <span class="buttons small"><button aria-expanded=${open} aria-label=${`Instances of ${name}`} onClick=${() => setOpen(!open)}>Instances</button>
                ${may && html`<button aria-label=${`Send ${name}`} onClick=${() => onSend(of)}>Send</button>
                <button aria-label=${`Export ${name}`} onClick=${() => onExport(of)}>Export</button>`}
                <a class="button" href=${`/api/studies/${study}/export?as=zip&series=${uid}`} download=${`series-${uid}.zip`} aria-label=${`Download ${name} as ZIP`}>ZIP</a>
                ${me.role === "admin" && html`<button class="danger" aria-label=${`Delete ${name}`} onClick=${() => onDelete(of)}>Delete</button>`}</span>
            ${open && html`<${Instances} study=${study} series=${uid} />`}</div></li>`;
}

// To whom? Sending is a job: Transfers shows how far it is.
function Send({ of, onClose }) {
    const box = useRef();
    const [peer, setPeer] = useState("");
    const [said, setSaid] = useState("");
    const [failure, setFailure] = useState(null);
    const { data, error } = useData(() => ask("/api/nodes"), []);
    useEffect(() => { box.current.showModal(); }, []);
    const peers = ((data && data.rows) || []).filter(row => row.host);
    async function send() {
        setFailure(null);
        await post(`/api/studies/${of.study}/send`, { peer, ...(of.series ? { series: of.series } : {}) })
            .then(answer => setSaid(answer.text || "It is on its way."), setFailure);
    }
    return html`<dialog ref=${box} onClose=${onClose} aria-label=${`Send ${of.name}`}><h2>Send ${of.name}</h2>
        ${data && peers.length === 0 && html`<p>No node is configured that images could be sent to.</p>`}
        <label>To <select value=${peer} onChange=${e => setPeer(e.target.value)}><option value="">which node?</option>
            ${peers.map(row => html`<option value=${row.name}>${row.name} (${row.ae_title} at ${row.host})</option>`)}</select></label>
        <${Problem} error=${error || failure} /><p role="status">${said}${said && html` <a href="#/transfers">Transfers</a>`}</p>
        <p class="buttons"><button onClick=${onClose}>${said ? "Close" : "Cancel"}</button>
            <button class="main" disabled=${!peer || !!said} onClick=${send}>Send</button></p></dialog>`;
}

const FORMS = [["zip", "a ZIP file"], ["iso", "a disc image"], ["folder", "a folder on the server"]];

// A job, too: what it makes is fetched from Transfers, lies in the server's folder, or is burned.
function Export({ of, onClose }) {
    const box = useRef();
    const [as, setAs] = useState("zip");
    const [anonymous, setAnonymous] = useState(false);
    const [said, setSaid] = useState("");
    const [failure, setFailure] = useState(null);
    const { data } = useData(() => ask("/api/exports"), []);
    useEffect(() => { box.current.showModal(); }, []);
    const begin = () => post(`/api/studies/${of.study}/export`, { as, deidentify: anonymous, ...(of.series ? { series: of.series } : {}) })
        .then(answer => { setFailure(null); setSaid(answer.text || "It is being made."); }, setFailure);
    return html`<dialog ref=${box} onClose=${onClose} aria-label=${`Export ${of.name}`}><h2>Export ${of.name}</h2>
        <label>As <select value=${as} onChange=${e => setAs(e.target.value)}>${FORMS.map(([key, words]) => html`<option value=${key}>${words}</option>`)}
            ${((data && data.burners) || []).map(name => html`<option value=${`burner:${name}`}>a disc, by ${name}</option>`)}</select></label>
        <label class="check"><input type="checkbox" checked=${anonymous} onChange=${e => setAnonymous(e.target.checked)} /> Without the patient's identity</label>
        ${data && html`<p class="hint">${as.startsWith("burner:") ? "The production centre takes it from there." : `It is kept in ${data.folder}${data.keep_s
            ? ` for ${Math.round(data.keep_s / 3600)} hours` : ""}; Transfers has the download.`}</p>`}
        <${Problem} error=${failure} /><p role="status">${said}${said && html` <a href="#/transfers">Transfers</a>`}</p>
        <p class="buttons"><button onClick=${onClose}>${said ? "Close" : "Cancel"}</button>
            <button class="main" disabled=${!!said} onClick=${begin}>Export</button></p></dialog>`;
}

function Deeds({ of, me, onSend, onExport, onDelete }) {
    const { data } = useData(() => ask("/api/viewers"), []), viewers = (data && data.rows) || [];
    const may = me.role === "operator" || me.role === "admin";
    return html`<p class="buttons"><a class="button main" href=${`#/view/${of.study}`}>Show images</a>
        ${viewers.map(viewer => html`<a class="button" href=${viewer.path + of.study} target="_blank" rel="noreferrer">${viewer.name}</a>`)}
        ${may && html`<button aria-label=${`Send ${of.name}`} onClick=${() => onSend(of)}>Send</button>
            <button aria-label=${`Export ${of.name}`} onClick=${() => onExport(of)}>Export</button>`}
        <a class="button" href=${`/api/studies/${of.study}/export?as=zip`} download=${`study-${of.study}.zip`} aria-label=${`Download ${of.name} as ZIP`}>ZIP</a>
        ${me.role === "admin" && html`<button class="danger" aria-label=${`Delete ${of.name}`} onClick=${onDelete}>Delete</button>`}</p>`;
}

export function Below({ uid, name, date, me, onGone }) {
    const of = { study: uid, name: `the study of ${name}` };
    const [asked, setAsked] = useState(null);
    const [shown, setShown] = useState(null);
    const [failure, setFailure] = useState(null);
    const { data, error, again } = useData(() => ask(`${WEB}/studies/${uid}/series?includefield=SeriesDescription`), [uid], { kinds: ["instance.", "study.", "series."] });
    const remove = () => {
        setAsked(null);
        return ask(`/api/studies/${uid}${asked.series ? `/series/${asked.series}` : ""}`, { method: "DELETE" })
            .then(() => { again(); onGone(); }, setFailure);
    };
    const show = Box => what => setShown({ Box, of: what });
    return html`<div class="below"><${Deeds} of=${of} me=${me} onSend=${show(Send)} onExport=${show(Export)} onDelete=${() => setAsked(of)} />
        <${Problem} error=${error || failure} /><ul class="series">${(data || []).map(row => html`<${OneSeries} key=${text(row, "0020000E")} study=${uid} row=${row}
            me=${me} onSend=${show(Send)} onExport=${show(Export)} onDelete=${setAsked} />`)}</ul>
        ${shown && html`<${shown.Box} of=${shown.of} onClose=${() => setShown(null)} />`}
        ${asked && html`<${Confirm} question=${`Move ${asked.name}${asked.series ? `, ${name}` : ""} (${date}) to the trash?`} onYes=${remove} onNo=${() => setAsked(null)} />`}</div>`;
}
