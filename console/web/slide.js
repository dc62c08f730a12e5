// A slide: its levels as the metadata of its series tell them, the deep zoom, scale bar, overview and label.
import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Problem, text, WEB } from "./api.js";

const BAR_PIXELS = 140;
const MAGNIFICATIONS = [1, 5, 10, 20, 40];
const MICRONS_AT_ONE = 10; // of a pixel at 1x: 0.25 at 40x

const number = (item, tag) => Number(text(item, tag)) || 0;
const inside = (item, ...tags) => tags.reduce((at, tag) => at && at[tag] && at[tag].Value && at[tag].Value[0], item);

// TILED_FULL counts rows of tiles; else each frame says where it lies.
function frames(item, tileWidth, tileHeight, columns) {
    if (text(item, "00209311") !== "TILED_SPARSE")
        return (x, y) => y * columns + x + 1;
    const at = new Map();
    ((item["52009230"] && item["52009230"].Value) || []).forEach((frame, i) => {
        const place = inside(frame, "0048021A");
        const key = `${Math.floor((number(place, "0048021E") - 1) / tileWidth)},${Math.floor((number(place, "0048021F") - 1) / tileHeight)}`;
        if (!at.has(key))
            at.set(key, i + 1);
    });
    return (x, y) => at.get(`${x},${y}`) || 0;
}

function level(item, series) {
    const width = number(item, "00480006"), height = number(item, "00480007");
    const tileWidth = number(item, "00280011"), tileHeight = number(item, "00280010");
    const columns = Math.ceil(width / tileWidth);
    const [down] = text(inside(item, "52009229", "00289110"), "00280030").split(", ").map(Number);
    return {
        width, height, tileWidth, tileHeight, columns, rows: Math.ceil(height / tileHeight), isRgb: text(item, "00280004") === "RGB",
        millimetres: down || number(item, "00480001") / width, kind: text(item, "00080008"), drawn: false,
        url: `${series}/instances/${text(item, "00080018")}`, frameAt: frames(item, tileWidth, tileHeight, columns),
    };
}

// Of the metadata of a series: null when it is no slide.
export function slideOf(metadata, series) {
    const images = metadata.filter(item => number(item, "00480006") > 0).map(item => level(item, series));
    const levels = images.filter(one => /VOLUME|THUMBNAIL/.test(one.kind)).sort((a, b) => a.width - b.width);
    if (levels.length === 0)
        return null;
    return { levels, base: levels[levels.length - 1], label: images.find(one => /LABEL/.test(one.kind)),
             whole: images.find(one => /OVERVIEW/.test(one.kind)) };
}

// 1, 2 or 5 of a power of ten, not longer than the bar may be.
function bar(millimetresOfPixel) {
    const most = millimetresOfPixel * BAR_PIXELS, power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].find(step => step * power <= most) * power;
    return { pixels: length / millimetresOfPixel, words: length >= 1 ? `${length} mm` : `${Math.round(length * 1e6) / 1e3} µm` };
}

function Scale({ base, scale }) {
    if (!scale || !(base.millimetres > 0))
        return null;
    const { pixels, words } = bar(base.millimetres / scale);
    return html`<div class="scalebar" role="img" aria-label=${`Scale bar: ${words}`}><i ref=${line => line && (line.style.width = `${pixels}px`)}></i>${words}</div>`;
}

const Side = ({ of, words }) => of && html`<figure><img src=${`${of.url}/rendered?viewport=240,240`} alt=${words} loading="lazy" />
    <figcaption>${words}</figcaption></figure>`;

export function Slide({ slide, label }) {
    const field = useRef(), overview = useRef(), zoomer = useRef(null);
    const [scale, setScale] = useState(0);
    const [tiles, setTiles] = useState(0);
    const [error, setError] = useState(null);
    useEffect(() => {
        let gone = false;
        import("/deepzoom.js").then(({ openSlide }) => {
            if (gone)
                return;
            zoomer.current = openSlide(field.current, overview.current, slide.levels, setScale, () => setTiles(old => old + 1));
            field.current.querySelector(".openseadragon-canvas").setAttribute("aria-label", label);
        }).catch(setError);
        return () => {
            gone = true;
            if (zoomer.current)
                zoomer.current.close();
            zoomer.current = null;
        };
    }, [slide]);
    const { base } = slide, microns = base.millimetres * 1000, full = MICRONS_AT_ONE / microns;
    const now = scale * full;
    return html`<div class="slide"><div class="field" ref=${field} data-tiles=${tiles}></div>
        <${Scale} base=${base} scale=${scale} /><${Problem} error=${error} />
        <aside aria-label="Overview and label"><div class="overview" ref=${overview} aria-hidden="true"></div>
            <${Side} of=${slide.label} words="Label" /><${Side} of=${slide.whole} words="Whole slide" /></aside>
        <div class="tools"><button aria-label="Zoom in" onClick=${() => zoomer.current.zoom(1.5)}>+</button>
            <button aria-label="Zoom out" onClick=${() => zoomer.current.zoom(1 / 1.5)}>−</button>
            ${MAGNIFICATIONS.filter(times => times <= full * 1.3).map(times => html`<button onClick=${() => zoomer.current.zoomTo(times / full)}>${times}×</button>`)}
            <button onClick=${() => zoomer.current.home()}>Whole slide</button>
            <span class="magnification" role="status">${now > 0 && isFinite(now) ? `${now < 1 ? now.toFixed(2) : now.toFixed(1)}×` : ""}</span>
            <span class="count">${base.width} × ${base.height} pixels, ${slide.levels.length} levels${microns > 0 ? `, ${microns.toFixed(3)} µm a pixel` : ""}</span></div>
        <p class="hint">Drag or arrow keys: move. Wheel, + and −: zoom. 0: the whole slide. Not for diagnosis.</p></div>`;
}
