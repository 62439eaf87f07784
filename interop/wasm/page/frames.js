// The list of frames and errors.

const MAX_LISTED = 500;

function frameItem(frame) {
  const item = element("li", frame.complete ? `f${frame.number % COLOURS}` : `f${frame.number % COLOURS} partly`);
  item.dataset.frame = frame.number;
  const button = element("button");
  button.type = "button";
  const header = frame.kind ?? frame.header ?? "";
  button.append(element("span", "number", frame.number + 1));
  const length = frame.length ?? frame.payload.length;
  const parts = frame.complete ? count(length, "byte") : `incomplete, ${frame.payload.length} of ${frame.length ?? "?"} bytes`;
  button.append(element("span", "says", header || parts));
  button.append(element("span", "place", (header ? `${parts}, ` : "") + `at ${frame.at}`));
  const shown = frame.meaning ?? (length && !frame.payload.length ? "" : frame.preview);
  if (shown) button.append(element("span", "shown", shown));
  item.append(button);
  return item;
}

function eventItem(event) {
  if (event.type === "frame") return frameItem(event);
  if (event.type === "error") return element("li", "error", event.message);
  const skipped = `${count(event.skipped, "byte")} skipped`;
  const found = event.found === undefined ? "nothing more was found up to the end" : `going on at byte ${event.found}`;
  return element("li", "search", `${found}, ${skipped}`);
}

function showFrames() {
  const items = state.events.slice(0, MAX_LISTED).map(eventItem);
  if (state.events.length > MAX_LISTED) items.push(element("li", "search", `… ${state.events.length - MAX_LISTED} more`));
  if (!items.length) items.push(element("li", "search", state.bytes.length ? "no frame has begun" : "no bytes"));
  byId("frames").replaceChildren(...items);
}
