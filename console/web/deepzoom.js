// The deep zoom of slides: OpenSeadragon over the frames of DICOMweb. A file of its own, loaded when the first slide is opened.
import OpenSeadragon from "openseadragon";

const STORED = "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50";
// Colour that is stored as RGB must say so, else it is taken for YCbCr: the marker APP14 of Adobe, without a transform.
const ADOBE_RGB = Uint8Array.of(0xff, 0xee, 0, 14, 0x41, 0x64, 0x6f, 0x62, 0x65, 0, 100, 0, 0, 0, 0, 0);

function hasAdobe(bytes) {
    for (let at = 2; at + 4 < bytes.length && bytes[at] === 0xff && bytes[at + 1] !== 0xda;) {
        if (bytes[at + 1] === 0xee)
            return true;
        at += 2 + bytes[at + 2] * 256 + bytes[at + 3];
    }
    return false;
}

async function picture(answer, isRgb) {
    if (!isRgb)
        return createImageBitmap(await answer.blob());
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const parts = hasAdobe(bytes) ? [bytes] : [bytes.subarray(0, 2), ADOBE_RGB, bytes.subarray(2)];
    return createImageBitmap(new Blob(parts, { type: "image/jpeg" }));
}

// As stored when that is baseline JPEG; else drawn by the node, from the first refusal on.
async function load(level, frame, signal) {
    const url = `${level.url}/frames/${frame}`;
    if (!level.drawn) {
        const answer = await fetch(url, { headers: { Accept: STORED }, signal });
        if (answer.ok)
            return picture(answer, level.isRgb);
        if (answer.status !== 406)
            throw new Error(`The node answered ${answer.status}.`);
        level.drawn = true;
    }
    const answer = await fetch(`${url}/rendered`, { headers: { Accept: "image/jpeg" }, signal });
    if (!answer.ok)
        throw new Error(`The node answered ${answer.status}.`);
    return createImageBitmap(await answer.blob());
}

// levels: from the smallest to the base; frameAt(column, row) gives a frame's number, 0: there is none.
function tileSource(levels, onTile) {
    const base = levels[levels.length - 1];
    const source = new OpenSeadragon.TileSource({
        width: base.width, height: base.height, tileWidth: base.tileWidth, tileHeight: base.tileHeight, tileOverlap: 0,
        minLevel: 0, maxLevel: levels.length - 1,
    });
    return Object.assign(source, {
        getLevelScale: level => levels[level].width / base.width,
        getNumTiles: level => new OpenSeadragon.Point(levels[level].columns, levels[level].rows),
        getTileWidth: level => levels[level].tileWidth,
        getTileHeight: level => levels[level].tileHeight,
        tileExists: (level, x, y) => Boolean(levels[level]) && levels[level].frameAt(x, y) > 0,
        getTileUrl: (level, x, y) => `${levels[level].url}/frames/${levels[level].frameAt(x, y)}#${level}`,
        hasTransparency: () => false,
        downloadTileStart(job) {
            const [, frame, level] = /\/frames\/(\d+)#(\d+)$/.exec(job.src);
            const stop = new AbortController();
            job.userData = { stop };
            load(levels[level], frame, stop.signal)
                .then(bitmap => { onTile(); job.finish(bitmap, null, "imageBitmap"); })
                .catch(error => job.fail ? job.fail(error.message, null) : job.finish(null, null, error.message));
        },
        downloadTileAbort: job => job.userData.stop.abort(),
    });
}

// The library would add a style of its own to the page, which the page forbids: it looks whether it is there, so something is (what it
// would say is in app.css).
function standIn() {
    const mark = document.createElementNS("urn:vitrine", "style");
    mark.setAttribute("data-openseadragon-mobile-css", "");
    document.head.append(mark);
}

// onView(pixels of the screen for one of the slide's) after each move.
export function openSlide(element, navigator, levels, onView, onTile) {
    if (!document.querySelector("style[data-openseadragon-mobile-css]"))
        standIn();
    const viewer = new OpenSeadragon.Viewer({
        element, tileSources: tileSource(levels, onTile), drawer: "canvas", showNavigationControl: false,
        showNavigator: true, navigatorElement: navigator, navigatorAutoFade: false, maxZoomPixelRatio: 4, minZoomImageRatio: .6,
        imageLoaderLimit: 8, animationTime: .4, springStiffness: 10, visibilityRatio: .3, crossOriginPolicy: false,
        gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    });
    const tell = () => viewer.world.getItemCount() && onView(viewer.viewport.viewportToImageZoom(viewer.viewport.getZoom(true)));
    viewer.addHandler("open", tell);
    viewer.addHandler("animation", tell);
    viewer.addHandler("resize", tell);
    return {
        zoom: by => { viewer.viewport.zoomBy(by); viewer.viewport.applyConstraints(); },
        zoomTo: scale => viewer.viewport.zoomTo(viewer.viewport.imageToViewportZoom(scale)),
        home: () => viewer.viewport.goHome(),
        close: () => viewer.destroy(),
    };
}
