// The screens of virtual machines: noVNC. A file of its own, loaded when the first screen is opened.
import RFB from "@novnc/novnc";

// onState("connected" | "ended", a sentence).
export function openScreen(element, url, onState) {
    const socket = new WebSocket(url);
    let connected = false, why = "";
    socket.binaryType = "arraybuffer";
    socket.addEventListener("close", event => { why = event.reason; });
    const rfb = new RFB(element, socket);
    rfb.scaleViewport = true;
    rfb.addEventListener("connect", () => { connected = true; onState("connected", ""); rfb.focus(); });
    rfb.addEventListener("disconnect", () => setTimeout(() => onState("ended", why ||
        (connected ? "The screen has ended." : "The screen could not be opened.")), 0));
    return { keys: () => rfb.sendCtrlAltDel(), close: () => rfb.disconnect() };
}
