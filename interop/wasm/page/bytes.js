"use strict";
// The bytes, coloured by frame.

const byId = (id) => document.getElementById(id);
const element = (tag, name, text) => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
};
const count = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;
const hexOf = (byte) => byte.toString(16).padStart(2, "0");
const COLOURS = 6;
const PAGE = 2048;

/** What is shown: the bytes, how they are decoded, and what that gave. */
const state = {
  bytes: new Uint8Array(), cuts: [], events: [], frameOf: [], partOf: [], errors: new Map(),
  page: 0, focus: 0, width: 16, hot: -1,
};

/** Notes for each byte its frame and its part. */
function mapBytes() {
  const { bytes, events } = state;
  state.frameOf = new Int32Array(bytes.length).fill(-1);
  state.partOf = new Array(bytes.length).fill("");
  state.errors = new Map();
  let number = 0;
  for (const event of events) {
    if (event.type === "frame") {
      event.number = number++;
      state.frameOf.fill(event.number, event.at, event.end);
      for (const { kind, from, to } of event.parts) state.partOf.fill(kind, from, to);
    } else if (event.type === "error") {
      // The error of a stream that has ended is at its end, after the last byte.
      const at = Math.min(event.byte, Math.max(bytes.length - 1, 0));
      state.errors.set(at, [...(state.errors.get(at) ?? []), event]);
    }
  }
}

function classOf(i) {
  const frame = state.frameOf[i];
  const part = state.partOf[i] === "check" ? "check-part" : state.partOf[i];
  let name = frame < 0 ? "byte none" : `byte f${frame % COLOURS} ${part}`;
  if (frame >= 0 && state.frameOf[i - 1] !== frame) name += " first";
  return name;
}

/** Says what a byte is. */
function describeByte(i) {
  const frame = state.frameOf[i];
  const where = frame < 0 ? "in no frame" : `${state.partOf[i]} of frame ${frame + 1}`;
  const failed = state.errors.has(i) ? ", with an error" : "";
  const cut = state.cuts.includes(i) ? ", the stream is cut before it" : "";
  return `byte ${i} (0x${i.toString(16)}): ${hexOf(state.bytes[i])}, ${where}${failed}${cut}`;
}

/** Shows one page of the bytes. */
function showBytes() {
  const { bytes, width } = state;
  const view = byId("view");
  const begin = state.page * PAGE;
  const end = Math.min(begin + PAGE, bytes.length);
  const cuts = new Set(state.cuts);
  const rows = [];
  for (let at = begin; at < end; at += width) {
    const row = element("div", "row");
    row.setAttribute("role", "row");
    const offset = element("span", "offset", at.toString(16).padStart(width === 16 ? 6 : 4, "0"));
    offset.setAttribute("role", "rowheader");
    row.append(offset);
    const text = element("span", "text");
    text.setAttribute("aria-hidden", "true");
    for (let i = at; i < at + width; i++) {
      if (i >= bytes.length) {
        row.append(element("span", "byte gap", "00"));
        continue;
      }
      const name = classOf(i);
      const bad = state.errors.has(i) ? " bad" : "";
      const cell = element("span", name + bad + (cuts.has(i) ? " cut" : ""), hexOf(bytes[i]));
      cell.setAttribute("role", "gridcell");
      cell.setAttribute("aria-label", describeByte(i));
      cell.tabIndex = i === state.focus ? 0 : -1;
      cell.dataset.i = i;
      row.append(cell);
      const shown = bytes[i] >= 0x20 && bytes[i] < 0x7f ? String.fromCharCode(bytes[i]) : "·";
      const letter = element("span", name.replace(" first", ""), shown);
      letter.dataset.i = i;
      text.append(letter);
    }
    row.append(text);
    rows.push(row);
    for (let i = at; i < Math.min(at + width, bytes.length); i++) {
      for (const error of state.errors.get(i) ?? []) rows.push(element("div", "note", `▲ ${error.message}`));
    }
  }
  view.replaceChildren(...rows);
  view.setAttribute("aria-rowcount", Math.ceil(bytes.length / width));
  byId("pager").hidden = bytes.length <= PAGE;
  byId("range").textContent = `bytes ${begin} to ${Math.max(end - 1, 0)} of ${bytes.length.toLocaleString("en")}`;
  byId("earlier").disabled = begin === 0;
  byId("later").disabled = end === bytes.length;
}

/** Marks a frame in the bytes, the list and the overview. */
function setHot(frame) {
  if (state.hot === frame) return;
  state.hot = frame;
  for (const old of document.querySelectorAll(".hot")) old.classList.remove("hot");
  if (frame < 0) return;
  for (const cell of byId("view").querySelectorAll("[data-i]")) {
    if (state.frameOf[cell.dataset.i] === frame) cell.classList.add("hot");
  }
  for (const other of document.querySelectorAll(`[data-frame="${frame}"]`)) other.classList.add("hot");
}

/** Goes to a byte, on its page. */
function goTo(i, focus) {
  if (!(i >= 0 && i < state.bytes.length)) return;
  state.focus = i;
  const page = Math.floor(i / PAGE);
  if (page !== state.page) {
    state.page = page;
    showBytes();
  }
  const cells = byId("view").querySelectorAll('[role="gridcell"]');
  for (const cell of cells) cell.tabIndex = Number(cell.dataset.i) === i ? 0 : -1;
  const cell = cells[i - page * PAGE];
  if (focus) cell?.focus();
  else cell?.scrollIntoView({ block: "nearest" });
}
