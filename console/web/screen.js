// The screens of virtual machines: noVNC. A file of its own, loaded when the first screen is opened.
import RFB from "@novnc/novnc";

// onState("connected" | "ended", a sentence).
export function openScreen(element, url, onState) {
    const rfb = new RFB(element, url);
    let connected = false;
    rfb.scaleViewport = true;
    rfb.addEventListener("connect", () => { connected = true; onState("connected", ""); });
    rfb.addEventListener("disconnect", event => onState("ended", event.detail.clean ? "The screen was closed."
        : connected ? "The connection to the screen was lost." : "The screen could not be opened."));
    return {
        keys: () => rfb.sendCtrlAltDel(),
        focus: () => rfb.focus(),
        close: () => rfb.disconnect(),
    };
}
