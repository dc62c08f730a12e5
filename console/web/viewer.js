// A quick look, not a diagnosis: pictures that the node renders. Drag: window and level; wheel: frames; with Shift: zoom, pan.
import { html } from "htm/preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ask, attendance, day, person, Problem, text, Thumbnail, useData, WEB } from "./api.js";
import { Slide, slideOf } from "./slide.js";

const numbers = (item, tag) => text(item, tag).split(", ").map(Number).filter(value => isFinite(value));
const inside = (item, ...tags) => tags.reduce((at, tag) => at && at[tag] && at[tag].Value && at[tag].Value[0], item);

// Millimetres of a pixel, down and across; those at the detector are not those of the patient, which is said.
function spacing(item) {
    const plain = numbers(item, "00280030"), shared = numbers(inside(item, "52009229", "00289110"), "00280030");
    const detector = numbers(item, "00181164"), found = [plain, shared, detector].find(values => values.length === 2 && values[0] > 0);
    return found ? { down: found[0], across: found[1], detector: found === detector } : null;
}

// Windows that the instance brings, then the usual ones of CT.
function presets(item) {
    const source = numbers(item, "00281050").length ? item : inside(item, "52009229", "00289132") || {};
    const widths = numbers(source, "00281051"), names = text(source, "00281055").split(", ");
    const own = numbers(source, "00281050").map((center, i) => ({ name: names[i] || `Window ${i + 1}`, center, width: widths[i] }))
        .filter(row => row.width >= 1);
    const usual = [["Abdomen", 40, 400], ["Lung", -600, 1500], ["Bone", 400, 1800], ["Brain", 40, 80]];
    return [...own, ...(text(item, "00080060") === "CT" ? usual.map(([name, center, width]) => ({ name, center, width })) : [])];
}

async function load(study, wanted) {
    const series = await ask(`${WEB}/studies/${study}/series`) || [];
    const chosen = series.find(row => text(row, "0020000E") === wanted) || series[0];
    const uid = text(chosen, "0020000E"), path = `${WEB}/studies/${study}/series/${uid}`;
    const metadata = uid ? await ask(`${path}/metadata`) || [] : [];
    const [patient] = await ask(`${WEB}/studies?StudyInstanceUID=${study}&includefield=StudyDescription`) || [];
    const pictures = metadata.filter(item => Number(text(item, "00280010")) > 0)
        .sort((a, b) => Number(text(a, "00200013")) - Number(text(b, "00200013")))
        .flatMap(item => {
            const common = { spacing: spacing(item), presets: presets(item) };
            return Array.from({ length: Math.max(1, Number(text(item, "00280008")) || 1) }, (_, i) =>
                ({ ...common, url: `${path}/instances/${text(item, "00080018")}/frames/${i + 1}/rendered` }));
        });
    return { series, uid, slide: slideOf(metadata, path), pictures, patient };
}

// One picture at a time: while one is on its way only the last wish is kept.
function usePicture(url) {
    const [state, setState] = useState({ bitmap: null, error: null });
    const busy = useRef(null), wish = useRef(null), alive = useRef(true);
    async function run(target) {
        busy.current = target;
        try {
            const answer = await fetch(target, { headers: { Accept: "image/jpeg, application/json;q=0.1", ...attendance() } });
            if (!answer.ok)
                throw new Error((await answer.json()).error);
            const window_ = (answer.headers.get("Vitrine-Window") || "").split(",").map(Number);
            const bitmap = await createImageBitmap(await answer.blob());
            if (alive.current)
                setState({ bitmap, window: window_.length === 4 ? window_ : null, error: null });
        } catch (error) {
            if (alive.current)
                setState(old => ({ ...old, error }));
        }
        busy.current = null;
        if (alive.current && wish.current && wish.current !== target)
            run(wish.current);
    }
    useEffect(() => {
        wish.current = url;
        if (url && !busy.current)
            run(url);
    }, [url]);
    useEffect(() => () => { alive.current = false; }, []);
    return state;
}

const fitOf = (canvas, bitmap, look) => Math.min(canvas.width / bitmap.width, canvas.height / bitmap.height) * look.zoom;

// A place of the screen as one of the picture.
function placeOf(canvas, bitmap, look, event) {
    const scale = devicePixelRatio || 1, fit = fitOf(canvas, bitmap, look), box = canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left - look.x) * scale - canvas.width / 2) / fit + bitmap.width / 2,
             y: ((event.clientY - box.top - look.y) * scale - canvas.height / 2) / fit + bitmap.height / 2 };
}

function lengthOf({ from, to }, mm) {
    const across = to.x - from.x, down = to.y - from.y;
    return mm ? `${Math.hypot(across * mm.across, down * mm.down).toFixed(1)} mm${mm.detector ? " at the detector" : ""}`
        : `${Math.hypot(across, down).toFixed(1)} pixels`;
}

function drawLine(area, line, fit, words) {
    area.lineWidth = 2 / fit;
    area.strokeStyle = area.fillStyle = "#ffd54a";
    area.beginPath();
    area.moveTo(line.from.x, line.from.y);
    area.lineTo(line.to.x, line.to.y);
    area.stroke();
    area.font = `${15 * (devicePixelRatio || 1) / fit}px system-ui, sans-serif`;
    area.fillText(words, line.to.x + 6 / fit, line.to.y);
}

function draw(canvas, bitmap, look, lines, mm) {
    const area = canvas.getContext("2d"), scale = devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * scale;
    canvas.height = canvas.clientHeight * scale;
    area.fillStyle = "#000";
    area.fillRect(0, 0, canvas.width, canvas.height);
    if (!bitmap)
        return;
    const fit = fitOf(canvas, bitmap, look);
    area.imageSmoothingEnabled = fit < 4;
    area.setTransform(fit, 0, 0, fit, canvas.width / 2 + look.x * scale, canvas.height / 2 + look.y * scale);
    area.translate(-bitmap.width / 2, -bitmap.height / 2);
    area.drawImage(bitmap, 0, 0);
    for (const line of lines)
        drawLine(area, line, fit, lengthOf(line, mm));
}

const START = { zoom: 1, x: 0, y: 0 };

// Frames one after the other, as fast as they come, up to FRAMES_A_SECOND.
function usePlay(playing, drawn, onNext) {
    useEffect(() => {
        if (!playing || !drawn)
            return undefined;
        const timer = setTimeout(onNext, 1000 / FRAMES_A_SECOND);
        return () => clearTimeout(timer);
    }, [playing, drawn]);
}

function Tools({ pictures, frame, picture, measuring, lines, playing, onPlay, onFrame, onZoom, onWindow, onMeasure, onReset }) {
    const { presets: list, spacing: mm } = pictures[frame];
    const last = lines[lines.length - 1];
    return html`<div class="tools">${pictures.length > 1 && html`<button aria-pressed=${playing} onClick=${onPlay}>${playing ? "Stop" : "Play"}</button>`}<label>Frame <input type="range" min="1" max=${pictures.length} value=${frame + 1}
            onInput=${e => onFrame(Number(e.target.value) - 1)} /> ${frame + 1} of ${pictures.length}</label>
        <span class="window" role="status">${picture.window ? `Window ${Math.round(picture.window[0])} / ${Math.round(picture.window[1])}` : ""}</span>
        ${list.length > 0 && html`<select aria-label="Window" value="" onChange=${e => { onWindow(list[e.target.value]); e.target.value = ""; }}>
            <option value="">Window …</option>${list.map((row, i) => html`<option value=${i}>${row.name} (${row.center} / ${row.width})</option>`)}</select>`}
        <button aria-pressed=${measuring} onClick=${onMeasure}>Measure</button>
        <span class="length" role="status">${last ? lengthOf(last, mm) : ""}</span>
        <button onClick=${() => onZoom(1.2)} aria-label="Zoom in">+</button>
        <button onClick=${() => onZoom(1 / 1.2)} aria-label="Zoom out">−</button>
        <button onClick=${onReset}>Reset</button></div>`;
}

const FRAMES_A_SECOND = 12;
const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 10, PageUp: -10 };
const ZOOMS = { "+": 1.2, "-": 1 / 1.2 };
const bounded = zoom => Math.max(0.2, Math.min(30, zoom));
const hundredths = value => Math.round(value * 100) / 100;

function Canvas({ pictures, label }) {
    const canvas = useRef(), drag = useRef(null);
    const [frame, setFrame] = useState(0);
    const [own, setOwn] = useState(null);
    const [look, setLook] = useState(START);
    const [measuring, setMeasuring] = useState(false);
    const [lines, setLines] = useState([]);
    const [playing, setPlaying] = useState(false);
    const { url, spacing: mm } = pictures[frame];
    const picture = usePicture(own ? `${url}?window=${own.join(",")},linear` : url);
    const again = () => canvas.current && draw(canvas.current, picture.bitmap, look, lines, mm);
    useLayoutEffect(() => { again(); }, [picture.bitmap, look, lines]);
    useEffect(() => {
        window.addEventListener("resize", again);
        return () => window.removeEventListener("resize", again);
    });
    const go = to => { setLines([]); setFrame(Math.max(0, Math.min(pictures.length - 1, to))); };
    usePlay(playing, picture.bitmap, () => go((frame + 1) % pictures.length));
    const zoom = by => setLook(old => ({ ...old, zoom: bounded(old.zoom * by) }));
    const reset = () => { setOwn(null); setLook(START); setLines([]); };
    function down(event) {
        event.target.setPointerCapture(event.pointerId);
        const place = measuring && picture.bitmap && placeOf(canvas.current, picture.bitmap, look, event);
        drag.current = { x: event.clientX, y: event.clientY, look, place, pan: event.shiftKey || event.button !== 0,
                         window: own ? [...own, ...(picture.window || []).slice(2)] : picture.window };
        if (place)
            setLines(old => [...old, { from: place, to: place }]);
    }
    function move(event) {
        const from = drag.current;
        if (!from)
            return;
        const across = event.clientX - from.x, below = event.clientY - from.y;
        if (from.place) {
            const to = placeOf(canvas.current, picture.bitmap, look, event);
            setLines(old => [...old.slice(0, -1), { from: from.place, to }]);
        } else if (from.pan) {
            setLook({ ...from.look, x: from.look.x + across, y: from.look.y + below });
        } else if (from.window) {
            const range = Math.max(1, from.window[3] - from.window[2]) / 400;
            setOwn([hundredths(from.window[0] + below * range), Math.max(1, hundredths(from.window[1] + across * range))]);
        }
    }
    function wheel(event) {
        event.preventDefault();
        if (event.shiftKey || event.ctrlKey)
            zoom(event.deltaY + event.deltaX < 0 ? 1.2 : 1 / 1.2);
        else
            go(frame + (event.deltaY > 0 ? 1 : -1));
    }
    function key(event) {
        if (STEPS[event.key])
            go(frame + STEPS[event.key]);
        else if (ZOOMS[event.key])
            zoom(ZOOMS[event.key]);
        else if (event.key === "r")
            reset();
        else if (event.key === " ")
            setPlaying(old => !old && pictures.length > 1);
        else if (event.key === "m")
            setMeasuring(old => !old);
        else
            return;
        event.preventDefault();
    }
    return html`<div class="screen"><canvas ref=${canvas} tabindex="0" role="img" aria-label=${label} data-drawn=${picture.bitmap ? "yes" : "no"}
            onKeyDown=${key} onWheel=${wheel} onPointerMove=${move} onPointerDown=${down}
            onPointerUp=${() => { drag.current = null; }} onContextMenu=${e => e.preventDefault()}></canvas>
        <${Problem} error=${picture.error} />
        <${Tools} pictures=${pictures} frame=${frame} picture=${picture} measuring=${measuring} lines=${lines} playing=${playing}
            onPlay=${() => setPlaying(!playing)} onFrame=${to => { setPlaying(false); go(to); }} onZoom=${zoom}
            onWindow=${row => row && setOwn([row.center, row.width])} onMeasure=${() => setMeasuring(!measuring)} onReset=${reset} />
        <p class="hint">Drag: window and level, or a line to measure (m). Wheel or arrow keys: frames; the space bar plays them. Shift and drag or wheel: move, zoom.
            Not for diagnosis.</p></div>`;
}

function Images({ data, title }) {
    const label = `Images of ${title}`;
    if (data.slide)
        return html`<${Slide} key=${data.uid} slide=${data.slide} label=${label} />`;
    return data.pictures.length > 0 ? html`<${Canvas} key=${data.uid} pictures=${data.pictures} label=${label} />`
        : html`<p class="count">There is no image in this series.</p>`;
}

export function Viewer({ path: [study, wanted] }) {
    const { data, error } = useData(() => load(study, wanted), [study, wanted]);
    if (!data)
        return html`<h1>Images</h1><${Problem} error=${error} />${!error && html`<p class="count" role="status">Loading …</p>`}`;
    const title = person(text(data.patient, "00100010")) || "(no name)";
    const facts = [text(data.patient, "00100020"), day(text(data.patient, "00080020")), text(data.patient, "00080061"), text(data.patient, "00081030")].filter(Boolean);
    return html`<h1>${title} <small>${facts.join(" · ")}</small></h1><p class="back"><a href="#/studies">Studies</a></p><div class="viewer">
        <ul class="strip" aria-label="Series">${data.series.map(row => {
            const uid = text(row, "0020000E");
            return html`<li><a href=${`#/view/${study}/${uid}`} aria-current=${uid === data.uid ? "true" : null}>
                <${Thumbnail} of=${`studies/${study}/series/${uid}`} />
                <span>${text(row, "00080060")} ${text(row, "0008103E")}</span></a></li>`;
        })}</ul>
        <${Images} data=${data} title=${title} /></div>`;
}
