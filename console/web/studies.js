// Search as you type, by QIDO-RS; series and instances below; send to a node, take along as one file, delete to the trash.
import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, Confirm, day, person, post, Problem, text, useData, WEB } from "./api.js";

const ROWS = 50;
const MODALITIES = ["CR", "CT", "DX", "MG", "MR", "NM", "OT", "PT", "SM", "US", "XA"];

// One word may be a name, an ID, an accession number or a date: each is its own search, since keys are matched together.
function searches(word, modality) {
    const base = { limit: ROWS, includefield: "StudyDescription", ...(modality ? { ModalitiesInStudy: modality } : {}) };
    word = word.trim();
    if (!word)
        return [base];
    const date = word.replaceAll("-", "");
    if (/^(19|20)\d{6}$/.test(date))
        return [{ ...base, StudyDate: date }, { ...base, PatientID: `${word}*` }, { ...base, AccessionNumber: `${word}*` }];
    const name = word.replace(/,\s*/, "^");
    return [{ ...base, PatientName: `*${name}*` }, { ...base, PatientID: `${word}*` }, { ...base, AccessionNumber: `${word}*` }];
}

async function search(word, modality) {
    const answers = await Promise.all(searches(word, modality).map(query => ask(`${WEB}/studies?${new URLSearchParams(query)}`)));
    const found = new Map();
    for (const study of answers.flatMap(answer => answer || []))
        found.set(text(study, "0020000D"), study);
    return [...found.values()].sort((a, b) => text(b, "00080020").localeCompare(text(a, "00080020")));
}

function useLate(value, ms) {
    const [late, setLate] = useState(value);
    useEffect(() => {
        const timer = setTimeout(() => setLate(value), ms);
        return () => clearTimeout(timer);
    }, [value]);
    return late;
}

function Instances({ study, series }) {
    const { data, error } = useData(() => ask(`${WEB}/studies/${study}/series/${series}/instances`), [study, series]);
    return html`<${Problem} error=${error} /><ul class="instances">${(data || []).map(row => {
        const uid = text(row, "00080018"), frames = text(row, "00280008");
        return html`<li><span>${text(row, "00200013") || "–"}</span>
            <span>${text(row, "00280011")} × ${text(row, "00280010")}${frames > 1 ? `, ${frames} frames` : ""}</span>
            <a href=${`${WEB}/studies/${study}/series/${series}/instances/${uid}/file`} download=${`${uid}.dcm`}>Download</a></li>`;
    })}</ul>`;
}

function Series({ study }) {
    const [open, setOpen] = useState(null);
    const { data, error } = useData(() => ask(`${WEB}/studies/${study}/series`), [study], { kinds: ["instance."] });
    return html`<${Problem} error=${error} /><ul class="series">${(data || []).map(row => {
        const uid = text(row, "0020000E");
        return html`<li><a class="thumb" href=${`#/view/${study}/${uid}`} aria-label="Show the images of this series">
                <img src=${`${WEB}/studies/${study}/series/${uid}/thumbnail?viewport=96,96`} alt="" loading="lazy" /></a>
            <div><b>${text(row, "00080060")} ${text(row, "0008103E") || "series"}</b>
                <span>${text(row, "00201209")} instances</span>
                <button aria-expanded=${open === uid} onClick=${() => setOpen(open === uid ? null : uid)}>Instances</button>
                ${open === uid && html`<${Instances} study=${study} series=${uid} />`}</div></li>`;
    })}</ul>`;
}

// To whom? Sending is a job: Transfers shows how far it is.
function Send({ uid, name, onClose }) {
    const box = useRef();
    const [peer, setPeer] = useState("");
    const [said, setSaid] = useState("");
    const [failure, setFailure] = useState(null);
    const { data, error } = useData(() => ask("/api/nodes"), []);
    useEffect(() => { box.current.showModal(); }, []);
    const peers = ((data && data.rows) || []).filter(row => row.host);
    async function send() {
        setFailure(null);
        await post(`/api/studies/${uid}/send`, { peer }).then(answer => setSaid(answer.text || "It is on its way."), setFailure);
    }
    return html`<dialog ref=${box} onClose=${onClose} aria-label=${`Send the study of ${name}`}><h2>Send the study of ${name}</h2>
        ${data && peers.length === 0 && html`<p>No node is configured that images could be sent to.</p>`}
        <label>To <select value=${peer} onChange=${e => setPeer(e.target.value)}><option value="">which node?</option>
            ${peers.map(row => html`<option value=${row.name}>${row.name} (${row.ae_title} at ${row.host})</option>`)}</select></label>
        <${Problem} error=${error || failure} /><p role="status">${said}${said && html` <a href="#/transfers">Transfers</a>`}</p>
        <p class="buttons"><button onClick=${onClose}>${said ? "Close" : "Cancel"}</button>
            <button class="main" disabled=${!peer || !!said} onClick=${send}>Send</button></p></dialog>`;
}

function Deeds({ uid, name, me, onSend, onDelete }) {
    const { data } = useData(() => ask("/api/viewers"), []), viewers = (data && data.rows) || [];
    const may = me.role === "operator" || me.role === "admin";
    return html`<p class="buttons"><a class="button main" href=${`#/view/${uid}`}>Show images</a>
        ${viewers.map(viewer => html`<a class="button" href=${viewer.path + uid} target="_blank" rel="noreferrer">${viewer.name}</a>`)}
        ${may && html`<button aria-label=${`Send the study of ${name}`} onClick=${onSend}>Send</button>`}
        <a class="button" href=${`/api/studies/${uid}/export?as=zip`} download=${`study-${uid}.zip`}>ZIP</a>
        <a class="button" href=${`/api/studies/${uid}/export?as=iso`} download=${`study-${uid}.iso`}>Disc image</a>
        ${me.role === "admin" && html`<button class="danger" onClick=${onDelete}>Delete</button>`}</p>`;
}

function Study({ row, open, me, onToggle, onGone }) {
    const uid = text(row, "0020000D");
    const [asked, setAsked] = useState(false);
    const [sending, setSending] = useState(false);
    const [error, setError] = useState(null);
    const name = person(text(row, "00100010")) || "(no name)";
    async function remove() {
        setAsked(false);
        try {
            await ask(`/api/studies/${uid}`, { method: "DELETE" });
            onGone();
        } catch (failure) {
            setError(failure);
        }
    }
    return html`<li class="study">
        <button class="row" aria-expanded=${open} onClick=${onToggle}>
            <b>${name}</b><span>${text(row, "00100020")}</span><span>${day(text(row, "00080020"))}</span>
            <span>${text(row, "00080061")}</span><span>${text(row, "00080050")}</span><span>${text(row, "00081030")}</span></button>
        <${Problem} error=${error} />
        ${sending && html`<${Send} uid=${uid} name=${name} onClose=${() => setSending(false)} />`}
        ${open && html`<div class="below"><${Deeds} uid=${uid} name=${name} me=${me} onSend=${() => setSending(true)} onDelete=${() => setAsked(true)} />
            <${Series} study=${uid} /></div>`}
        ${asked && html`<${Confirm} question=${`Move the study of ${name} (${day(text(row, "00080020"))}) to the trash?`}
            onYes=${remove} onNo=${() => setAsked(false)} />`}</li>`;
}

export function Studies({ me }) {
    const [word, setWord] = useState("");
    const [modality, setModality] = useState("");
    const [open, setOpen] = useState(null);
    const late = useLate(word, 200);
    const { data, error, again } = useData(() => search(late, modality), [late, modality], { kinds: ["instance.", "study."] });
    return html`<h1>Studies</h1>
        <form class="filter" role="search" onSubmit=${e => e.preventDefault()}>
            <input type="search" aria-label="Name, ID, accession number or date" placeholder="Name, ID, accession number or date"
                value=${word} onInput=${e => setWord(e.target.value)} autofocus />
            <select aria-label="Modality" value=${modality} onChange=${e => setModality(e.target.value)}>
                <option value="">All modalities</option>${MODALITIES.map(m => html`<option value=${m}>${m}</option>`)}</select></form>
        <${Problem} error=${error} />
        ${data && html`<p class="count" role="status">${data.length === 0 ? "No study matches."
            : data.length >= ROWS ? `The first ${data.length} studies` : `${data.length} ${data.length === 1 ? "study" : "studies"}`}</p>`}
        <ul class="studies">${(data || []).map(row => {
            const uid = text(row, "0020000D");
            return html`<${Study} key=${uid} row=${row} me=${me} open=${open === uid} onGone=${again}
                onToggle=${() => setOpen(open === uid ? null : uid)} />`;
        })}</ul>`;
}
