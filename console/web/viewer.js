// A quick look, not a diagnosis: pictures that the node renders. Drag: window and level; wheel: frames; with Shift: zoom, pan.
import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, person, Problem, text, useData, WEB } from "./api.js";

async function load(study, wanted) {
    const series = await ask(`${WEB}/studies/${study}/series`) || [];
    const chosen = series.find(row => text(row, "0020000E") === wanted) || series[0];
    const uid = text(chosen, "0020000E");
    const instances = uid ? await ask(`${WEB}/studies/${study}/series/${uid}/instances`) || [] : [];
    const [patient] = await ask(`${WEB}/studies?StudyInstanceUID=${study}`) || [];
    const pictures = instances.flatMap(row => Array.from({ length: Math.max(1, Number(text(row, "00280008")) || 1) }, (_, i) =>
        `${WEB}/studies/${study}/series/${uid}/instances/${text(row, "00080018")}/frames/${i + 1}/rendered`));
    return { series, uid, pictures, patient };
}

// One picture at a time: while one is on its way only the last wish is kept.
function usePicture(url) {
    const [state, setState] = useState({ bitmap: null, error: null });
    const busy = useRef(null), wish = useRef(null), alive = useRef(true);
    async function run(target) {
        busy.current = target;
        try {
            const answer = await fetch(target, { headers: { Accept: "image/jpeg, application/json;q=0.1" } });
            if (!answer.ok)
                throw new Error((await answer.json()).error);
            const window_ = (answer.headers.get("Vitrine-Window") || "").split(",").map(Number);
            const bitmap = await createImageBitmap(await answer.blob());
            if (alive.current)
                setState({ bitmap, window: window_.length === 4 ? window_ : null, error: null });
        } catch (error) {
            if (alive.current)
                setState({ bitmap: null, error });
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

function draw(canvas, bitmap, look) {
    const area = canvas.getContext("2d"), scale = devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * scale;
    canvas.height = canvas.clientHeight * scale;
    area.fillStyle = "#000";
    area.fillRect(0, 0, canvas.width, canvas.height);
    if (!bitmap)
        return;
    const fit = Math.min(canvas.width / bitmap.width, canvas.height / bitmap.height) * look.zoom;
    area.imageSmoothingEnabled = fit < 4;
    area.setTransform(fit, 0, 0, fit, canvas.width / 2 + look.x * scale, canvas.height / 2 + look.y * scale);
    area.drawImage(bitmap, -bitmap.width / 2, -bitmap.height / 2);
}

const START = { zoom: 1, x: 0, y: 0 };

function Canvas({ pictures, label }) {
    const canvas = useRef(), drag = useRef(null);
    const [frame, setFrame] = useState(0);
    const [own, setOwn] = useState(null);
    const [look, setLook] = useState(START);
    const base = pictures[Math.min(frame, pictures.length - 1)];
    const picture = usePicture(base && (own ? `${base}?window=${own.join(",")},linear` : base));
    useEffect(() => { draw(canvas.current, picture.bitmap, look); }, [picture.bitmap, look]);
    useEffect(() => {
        const again = () => draw(canvas.current, picture.bitmap, look);
        window.addEventListener("resize", again);
        return () => window.removeEventListener("resize", again);
    });
    const step = by => setFrame(old => Math.max(0, Math.min(pictures.length - 1, old + by)));
    function move(event) {
        const from = drag.current;
        if (!from)
            return;
        const across = event.clientX - from.x, down = event.clientY - from.y;
        if (from.pan) {
            setLook({ ...from.look, x: from.look.x + across, y: from.look.y + down });
        } else if (from.window) {
            const range = Math.max(1, from.window[3] - from.window[2]) / 400;
            setOwn([Math.round((from.window[0] + down * range) * 100) / 100, Math.max(1, Math.round((from.window[1] + across * range) * 100) / 100)]);
        }
    }
    function wheel(event) {
        event.preventDefault();
        if (event.shiftKey || event.ctrlKey)
            setLook(old => ({ ...old, zoom: Math.max(0.2, Math.min(30, old.zoom * (event.deltaY + event.deltaX < 0 ? 1.2 : 1 / 1.2))) }));
        else
            step(event.deltaY > 0 ? 1 : -1);
    }
    function key(event) {
        const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 10, PageUp: -10 };
        const zooms = { "+": 1.2, "-": 1 / 1.2 };
        if (steps[event.key])
            step(steps[event.key]);
        else if (zooms[event.key])
            setLook(old => ({ ...old, zoom: old.zoom * zooms[event.key] }));
        else if (event.key === "r")
            reset();
        else
            return;
        event.preventDefault();
    }
    const reset = () => { setOwn(null); setLook(START); };
    return html`<div class="screen"><canvas ref=${canvas} tabindex="0" role="img" aria-label=${label} data-drawn=${picture.bitmap ? "yes" : "no"}
            onKeyDown=${key} onWheel=${wheel} onPointerMove=${move}
            onPointerDown=${e => { e.target.setPointerCapture(e.pointerId); drag.current = { x: e.clientX, y: e.clientY, look, window: own ? [...own, ...(picture.window || []).slice(2)] : picture.window, pan: e.shiftKey || e.button !== 0 }; }}
            onPointerUp=${() => { drag.current = null; }} onContextMenu=${e => e.preventDefault()}></canvas>
        <${Problem} error=${picture.error} />
        <div class="tools"><label>Frame <input type="range" min="1" max=${pictures.length} value=${frame + 1}
                onInput=${e => setFrame(Number(e.target.value) - 1)} /> ${frame + 1} of ${pictures.length}</label>
            <span class="window" role="status">${picture.window ? `Window ${Math.round(picture.window[0])} / ${Math.round(picture.window[1])}` : ""}</span>
            <button onClick=${() => setLook(old => ({ ...old, zoom: old.zoom * 1.2 }))} aria-label="Zoom in">+</button>
            <button onClick=${() => setLook(old => ({ ...old, zoom: old.zoom / 1.2 }))} aria-label="Zoom out">−</button>
            <button onClick=${reset}>Reset</button></div>
        <p class="hint">Drag: window and level. Wheel or arrow keys: frames. Shift and drag or wheel: move, zoom. Not for diagnosis.</p></div>`;
}

export function Viewer({ path: [study, wanted] }) {
    const { data, error } = useData(() => load(study, wanted), [study, wanted]);
    if (!data)
        return html`<${Problem} error=${error} />`;
    const title = `${person(text(data.patient, "00100010")) || "(no name)"} ${text(data.patient, "00100020")}`;
    return html`<h1>${title}</h1><div class="viewer">
        <ul class="strip" aria-label="Series">${data.series.map(row => {
            const uid = text(row, "0020000E");
            return html`<li><a href=${`#/view/${study}/${uid}`} aria-current=${uid === data.uid ? "true" : null}>
                <img src=${`${WEB}/studies/${study}/series/${uid}/thumbnail?viewport=96,96`} alt="" loading="lazy" />
                <span>${text(row, "00080060")} ${text(row, "0008103E")}</span></a></li>`;
        })}</ul>
        ${data.pictures.length > 0 ? html`<${Canvas} key=${data.uid} pictures=${data.pictures} label=${`Images of ${title}`} />`
            : html`<p>There is nothing to show.</p>`}</div>`;
}
