// Search as you type, by QIDO-RS; what is below a study and what is done with it are in study.js.
import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { ask, day, dayOf, many, person, Problem, text, useData, WEB } from "./api.js";
import { Below } from "./study.js";

const ROWS = 50, MORE = 200;
const MODALITIES = ["CR", "CT", "DX", "MG", "MR", "NM", "OT", "PT", "SM", "US", "XA"];
const TIMES = [["Any time", null], ["Today", 0], ["Since yesterday", 1], ["Last 7 days", 7], ["Last 30 days", 30], ["Last 365 days", 365]];

const compact = date => dayOf(date).replaceAll("-", "");
const since = days => `${compact(new Date(Date.now() - days * 86400e3))}-`;

// One word may be a name, an ID, an accession number or a date: each is its own search, since keys are matched together.
function searches({ word, modality, days }, limit) {
    const base = { limit, includefield: "StudyDescription,PatientBirthDate,PatientSex", ...(modality ? { ModalitiesInStudy: modality } : {}),
                   ...(days === "" ? {} : { StudyDate: since(Number(days)) }) };
    word = word.trim();
    if (!word)
        return [base];
    const date = word.replaceAll("-", ""), name = word.replace(/,\s*/, "^");
    const others = [{ ...base, PatientID: `${word}*` }, { ...base, AccessionNumber: `${word}*` }];
    return /^(19|20)\d{6}$/.test(date) ? [{ ...base, StudyDate: date }, ...others] : [{ ...base, PatientName: `*${name}*` }, ...others];
}

async function search(wish, limit) {
    const answers = await Promise.all(searches(wish, limit).map(query => ask(`${WEB}/studies?${new URLSearchParams(query)}`)));
    const found = new Map();
    for (const study of answers.flatMap(answer => answer || []))
        found.set(text(study, "0020000D"), study);
    const key = study => text(study, "00080020") + text(study, "00080030");
    return { studies: [...found.values()].sort((a, b) => key(b).localeCompare(key(a))), more: answers.some(answer => answer && answer.length >= limit) };
}

function useLate(value, ms) {
    const [late, setLate] = useState(value);
    useEffect(() => {
        const timer = setTimeout(() => setLate(value), ms);
        return () => clearTimeout(timer);
    }, [value]);
    return late;
}

const SEXES = { F: "female", M: "male", O: "other" };
const bornOf = row => [day(text(row, "00100030")) && `born ${day(text(row, "00100030"))}`, SEXES[text(row, "00100040")]].filter(Boolean).join(", ");

function Study({ row, open, me, onToggle, onGone }) {
    const uid = text(row, "0020000D"), name = person(text(row, "00100010")) || "(no name)";
    return html`<li class="study">
        <button class="row" aria-expanded=${open} onClick=${onToggle}>
            <b>${name}<small>${bornOf(row)}</small></b><span>${text(row, "00100020")}</span><span>${day(text(row, "00080020"))}</span>
            <span class="kind">${text(row, "00080061")}</span><span>${text(row, "00080050")}</span><span>${text(row, "00081030")}</span>
            <span class="number">${text(row, "00201206")} / ${text(row, "00201208")}</span></button>
        ${open && html`<${Below} uid=${uid} name=${name} date=${day(text(row, "00080020"))} me=${me} onGone=${onGone} />`}</li>`;
}

function Filter({ wish, onWish }) {
    const set = change => onWish({ ...wish, ...change });
    return html`<form class="filter sticky" role="search" onSubmit=${e => e.preventDefault()}>
        <input type="search" aria-label="Name, ID, accession number or date" placeholder="Name, ID, accession number or date"
            value=${wish.word} onInput=${e => set({ word: e.target.value })} autofocus />
        <select aria-label="Study date" value=${wish.days} onChange=${e => set({ days: e.target.value })}>
            ${TIMES.map(([title, days]) => html`<option value=${days === null ? "" : days}>${title}</option>`)}</select>
        <select aria-label="Modality" value=${wish.modality} onChange=${e => set({ modality: e.target.value })}>
            <option value="">All modalities</option>${MODALITIES.map(m => html`<option value=${m}>${m}</option>`)}</select></form>`;
}

export function Studies({ me }) {
    const [wish, setWish] = useState({ word: "", modality: "", days: "" });
    const [limit, setLimit] = useState(ROWS);
    const [open, setOpen] = useState(null);
    const word = useLate(wish.word, 200);
    const { data, error, again } = useData(() => search({ ...wish, word }, limit), [word, wish.modality, wish.days, limit], { kinds: ["instance.", "study."] });
    const studies = (data && data.studies) || [], filtered = word || wish.modality || wish.days !== "";
    return html`<h1>Studies</h1><${Filter} wish=${wish} onWish=${next => { setLimit(ROWS); setWish(next); }} />
        <${Problem} error=${error} />
        ${data && html`<p class="count" role="status">${studies.length === 0 ? (filtered ? "No study matches." : "There are no studies yet: what modalities send here appears by itself.")
            : `${data.more ? "The newest " : ""}${many(studies.length, "study", "studies")}`}</p>`}
        ${studies.length > 0 && html`<div class="row heads" aria-hidden="true"><span>Patient</span><span>ID</span><span>Date</span><span>Modality</span><span>Accession</span>
            <span>Description</span><span class="number">Series / images</span></div>`}
        <ul class="studies">${studies.map(row => {
            const uid = text(row, "0020000D");
            return html`<${Study} key=${uid} row=${row} me=${me} open=${open === uid} onGone=${again}
                onToggle=${() => setOpen(open === uid ? null : uid)} />`;
        })}</ul>${data && data.more && html`<p class="buttons"><button onClick=${() => setLimit(limit + MORE)}>Show more</button></p>`}`;
}
