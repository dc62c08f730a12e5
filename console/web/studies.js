// Search as you type, by QIDO-RS; series and instances below; delete to the trash; download.
import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { ask, Confirm, day, person, Problem, text, useData, WEB } from "./api.js";

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

function Study({ row, open, me, onToggle, onGone }) {
    const uid = text(row, "0020000D");
    const [asked, setAsked] = useState(false);
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
        ${open && html`<div class="below"><p class="buttons"><a class="button main" href=${`#/view/${uid}`}>Show images</a>
            ${me.role === "admin" && html`<button class="danger" onClick=${() => setAsked(true)}>Delete</button>`}</p>
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
