import { html, render } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, contact, duration, follow, post, Problem, useData } from "./api.js";
import { Studies } from "./studies.js";
import { Viewer } from "./viewer.js";
import { Emergency } from "./emergency.js";
import { Monitor } from "./monitor.js";
import { Nodes } from "./nodes.js";
import { Now } from "./now.js";
import { Workstations } from "./pool.js";
import { System, Transfers } from "./system.js";

const pages = [
    ["now", "Now", Now],
    ["studies", "Studies", Studies],
    ["workstations", "Workstations", Workstations],
    ["monitor", "Network monitor", Monitor],
    ["transfers", "Transfers", Transfers],
    ["nodes", "Nodes", Nodes],
    ["emergency", "Emergency", Emergency],
    ["system", "System", System],
];

function place() {
    const [path, query = ""] = location.hash.slice(2).split("?");
    return { path: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

function Form({ who, again, onDone }) {
    const [error, setError] = useState(null);
    async function enter(event) {
        event.preventDefault();
        const form = new FormData(event.target);
        try {
            onDone(await post("/api/login", { user: form.get("user"), password: form.get("password") }));
        } catch (failure) {
            setError(failure);
        }
    }
    return html`<form class="login" onSubmit=${enter}><${again ? "h2" : "h1"}>${again ? "Please log in again" : "Vitrine"}<//>
        ${again && html`<p>The login has ended. What was open is still here.</p>`}
        <label>User <input name="user" autocomplete="username" required autofocus=${!who} defaultValue=${who || ""} /></label>
        <label>Password <input name="password" type="password" autocomplete="current-password" required autofocus=${!!who} /></label>
        <${Problem} error=${error} /><button class="main">Log in</button></form>`;
}

// Above the page, which stays as it is.
function LoginAgain({ who, onDone }) {
    const box = useRef();
    useEffect(() => { box.current.showModal(); }, []);
    return html`<dialog ref=${box} aria-label="Log in again" onCancel=${e => e.preventDefault()}><${Form} who=${who} again onDone=${onDone} /></dialog>`;
}

// The node is away, or its archive takes nothing: said above every page, since what they show is old or must not be trusted to be kept.
function Trouble() {
    const [, setTick] = useState(0);
    const { data } = useData(() => ask("/api/status"), [], { kinds: ["volume."], seconds: 30 });
    const row = data && data.rows[0];
    useEffect(() => {
        const tick = () => setTick(old => old + 1), timer = setInterval(() => contact.away && tick(), 1000);
        addEventListener("vitrine-contact", tick);
        return () => {
            removeEventListener("vitrine-contact", tick);
            clearInterval(timer);
        };
    }, []);
    const lines = [];
    if (contact.away)
        lines.push(`The node does not answer. What you see is ${duration((Date.now() - contact.heard) / 1000)} old.`);
    if (row && row.writable === false)
        lines.push(`The archive is read-only: nothing new is stored. ${row.fault}.`);
    else if (row && row.space === "full")
        lines.push("The archive is full: nothing new is stored.");
    return lines.map(words => html`<p class="trouble" role="alert">${words}</p>`);
}

function Head({ me, current, onLeave, onSkip }) {
    return html`<header><a class="skip" href="#main" onClick=${onSkip}>Skip to the page</a><strong class="brand">Vitrine</strong>
        <nav aria-label="Pages">${pages.map(([key, title]) => html`
            <a href=${`#/${key}`} aria-current=${current === key ? "page" : null}>${title}</a>`)}</nav>
        ${me.user && html`<span class="me">${me.user} (${me.role}) <button onClick=${onLeave}>Log out</button></span>`}</header>
        ${me.open && html`<p class="open" role="note">Nobody has to log in: everybody on this machine may do everything.${" "}
            <code>vitrine user add NAME --role admin</code> ends that.</p>`}`;
}

function usePlace() {
    const [where, setWhere] = useState(place());
    useEffect(() => {
        const moved = () => setWhere(place());
        window.addEventListener("hashchange", moved);
        return () => window.removeEventListener("hashchange", moved);
    }, []);
    return where;
}

function App() {
    const where = usePlace(), page = useRef();
    const [me, setMe] = useState(null);
    const [over, setOver] = useState(false);
    const { data, error } = useData(() => ask("/api/me"), []);
    useEffect(() => { if (data) me && data.role === "nobody" ? setOver(true) : setMe(data); }, [data]);
    useEffect(() => {
        const out = () => setOver(true);
        window.addEventListener("vitrine-login", out);
        return () => window.removeEventListener("vitrine-login", out);
    }, []);
    const inside = !!me && me.role !== "nobody";
    useEffect(() => inside && !over ? follow() : undefined, [inside, over]);
    const key = where.path[0] || "studies";
    const [, title, Page] = key === "view" ? [key, "Images", Viewer] : pages.find(row => row[0] === key) || pages[1];
    useEffect(() => { document.title = inside ? `${title} · Vitrine` : "Vitrine"; }, [title, inside]);
    if (!me)
        return html`<${Problem} error=${error} />`;
    const enter = who => {
        setMe(who);
        setOver(false);
        dispatchEvent(new CustomEvent("vitrine-event", { detail: { kind: "lost" } }));
    };
    if (!inside)
        return html`<main><${Form} onDone=${enter} /></main>`;
    const leave = async () => { await ask("/api/logout", { method: "POST" }); location.reload(); };
    const skip = event => { event.preventDefault(); page.current.focus(); };
    return html`<${Head} me=${me} current=${key === "view" ? "studies" : key} onLeave=${leave} onSkip=${skip} /><${Trouble} />
        <main id="main" ref=${page} tabindex="-1"><${Page} me=${me} path=${where.path.slice(1)} query=${where.query} /></main>
        ${over && html`<${LoginAgain} who=${me.user} onDone=${enter} />`}`;
}

render(html`<${App} />`, document.getElementById("app"));
