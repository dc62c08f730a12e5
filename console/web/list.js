// A list of any length: only the rows that can be seen, and a few around them, are in the page.
import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";

const AROUND = 6;
const NARROW = "(max-width: 45rem)";

export function useNarrow() {
    const [narrow, setNarrow] = useState(matchMedia(NARROW).matches);
    useEffect(() => {
        const media = matchMedia(NARROW), changed = () => setNarrow(media.matches);
        media.addEventListener("change", changed);
        return () => media.removeEventListener("change", changed);
    }, []);
    return narrow;
}

// items of one height each; draw(item) gives what is inside a row.
export function LongList({ items, height, keyOf, draw, label }) {
    const box = useRef();
    const [seen, setSeen] = useState({ top: 0, height: 800 });
    const look = () => box.current && setSeen({ top: box.current.scrollTop, height: box.current.clientHeight });
    useEffect(() => {
        const watcher = new ResizeObserver(look);
        watcher.observe(box.current);
        return () => watcher.disconnect();
    }, []);
    const first = Math.max(0, Math.min(items.length - 1, Math.floor(seen.top / height)) - AROUND);
    const last = Math.min(items.length, Math.ceil((seen.top + seen.height) / height) + AROUND);
    const space = rows => html`<div role="presentation" style=${{ height: `${Math.max(0, rows) * height}px` }}></div>`;
    return html`<div class="long" role="list" aria-label=${label} tabindex="0" ref=${box} onScroll=${look}>${space(first)}
        ${items.slice(first, last).map((item, i) => html`<div role="listitem" key=${keyOf(item)} aria-setsize=${items.length}
            aria-posinset=${first + i + 1} style=${{ height: `${height}px` }}>${draw(item)}</div>`)}${space(items.length - last)}</div>`;
}
