import { html, render } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { ask, follow, post, Problem, useData } from "./api.js";
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

function Login({ onDone }) {
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
    return html`<form class="login" onSubmit=${enter}><h1>Vitrine</h1>
        <label>User <input name="user" autocomplete="username" required autofocus /></label>
        <label>Password <input name="password" type="password" autocomplete="current-password" required /></label>
        <${Problem} error=${error} /><button class="main">Log in</button></form>`;
}

function Head({ me, current, onLeave }) {
    return html`<header><a class="skip" href="#main">Skip to the page</a><strong class="brand">Vitrine</strong>
        <nav aria-label="Pages">${pages.map(([key, title]) => html`
            <a href=${`#/${key}`} aria-current=${current === key ? "page" : null}>${title}</a>`)}</nav>
        ${me.user && html`<span class="me">${me.user} (${me.role}) <button onClick=${onLeave}>Log out</button></span>`}</header>
        ${me.open && html`<p class="open" role="note">Nobody has to log in: everybody on this machine may do everything.${" "}
            <code>vitrine user add NAME --role admin</code> ends that.</p>`}`;
}

function App() {
    const [where, setWhere] = useState(place());
    const [me, setMe] = useState(null);
    const { data, error } = useData(() => ask("/api/me"), []);
    useEffect(() => { if (data) setMe(data); }, [data]);
    useEffect(() => {
        const moved = () => setWhere(place());
        const out = () => setMe(old => ({ ...old, role: "nobody", open: false }));
        window.addEventListener("hashchange", moved);
        window.addEventListener("vitrine-login", out);
        return () => {
            window.removeEventListener("hashchange", moved);
            window.removeEventListener("vitrine-login", out);
        };
    }, []);
    const inside = me && me.role && me.role !== "nobody";
    useEffect(() => inside ? follow() : undefined, [inside]);
    if (!me)
        return html`<${Problem} error=${error} />`;
    if (!inside)
        return html`<${Login} onDone=${setMe} />`;
    const key = where.path[0] || "studies";
    const Page = key === "view" ? Viewer : (pages.find(row => row[0] === key) || pages[1])[2];
    const leave = async () => { await ask("/api/logout", { method: "POST" }); location.reload(); };
    return html`<${Head} me=${me} current=${key === "view" ? "studies" : key} onLeave=${leave} />
        <main id="main" tabindex="-1"><${Page} me=${me} path=${where.path.slice(1)} query=${where.query} /></main>`;
}

render(html`<${App} />`, document.getElementById("app"));
