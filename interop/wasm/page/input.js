// Where bytes come from: the text field, a file, an example.

const MAX_FILE = 32 << 20;
/** More is not put into the text field. */
const MAX_TEXT = 4096;
let formats = [];
let streams = [];

const toHex = (bytes) => Array.from(bytes, hexOf).join(" ");

function trouble(text) {
  byId("trouble").textContent = text;
  byId("trouble").hidden = !text;
}

/** The chosen format, with its parameters. */
function formatName() {
  return byId("parameters").hidden ? byId("format").value : byId("name").value.trim();
}

function options() {
  const limit = byId("limit").value;
  return { goOn: byId("goon").checked, ...(limit === "" ? {} : { limit: Number(limit) }) };
}

function fillFormats() {
  formats = wasm_bindgen.formats();
  const groups = new Map();
  for (const { name, group, what } of formats) {
    if (!groups.has(group)) {
      const made = element("optgroup");
      made.label = group;
      groups.set(group, made);
    }
    const [title, hasParameters] = name.split(":");
    const option = element("option", "", hasParameters ? `${title}: with parameters` : name);
    option.value = name;
    option.title = what;
    groups.get(group).append(option);
  }
  byId("format").replaceChildren(...groups.values());
}

/** Shows what the chosen format is. */
function formatChosen() {
  const chosen = formats.find(({ name }) => name === byId("format").value);
  byId("parameters").hidden = !chosen.name.includes(":");
  byId("name").value = chosen.name;
  byId("what").textContent = `${chosen.name.split(":")[0]}: ${chosen.what}.`;
}

function useBytes(bytes, keepText) {
  state.bytes = bytes;
  state.cuts = [];
  state.page = 0;
  state.focus = 0;
  if (!keepText) {
    byId("hex").value = bytes.length <= MAX_TEXT ? toHex(bytes) : "";
    byId("hex").placeholder = bytes.length <= MAX_TEXT ? "f5 01 …" : `${bytes.length.toLocaleString("en")} bytes: too many to show as text`;
  }
  decodeAll();
}

function useStream(stream, keepText) {
  byId("notes").textContent = stream.notes.join("; ");
  byId("notes").hidden = !stream.notes.length;
  byId("cut-packets").hidden = stream.cuts.length < 2;
  useBytes(stream.bytes, keepText);
}

/** Takes what a file or the text has. */
function useStreams(found, name, keepText) {
  streams = found;
  trouble("");
  byId("streams").hidden = streams.length < 2;
  byId("stream").replaceChildren(...streams.map((stream, i) => {
    const option = element("option", "", stream.name);
    option.value = i;
    return option;
  }));
  useStream(streams[0], keepText);
  if (name) {
    byId("notes").textContent = [`${name}: ${streams[0].name}`, ...streams[0].notes].join("; ");
    byId("notes").hidden = false;
  }
}

function useExample() {
  const chosen = formats.find(({ name }) => name === byId("format").value);
  byId("name").value = chosen.name;
  useStreams([{ name: "", bytes: chosen.example, cuts: [], notes: [] }]);
}

function useText() {
  const text = byId("hex").value;
  try {
    useStreams(text.trim() ? wasm_bindgen.readText(text) : [{ name: "", bytes: new Uint8Array(), cuts: [], notes: [] }], "", true);
  } catch (error) {
    trouble(error.message);
  }
}

async function useFile(file) {
  try {
    if (file.size > MAX_FILE) throw new Error(`${file.name} has more than 32 MiB; the command reads larger files`);
    useStreams(wasm_bindgen.readFile(new Uint8Array(await file.arrayBuffer())), file.name);
  } catch (error) {
    trouble(`${file.name}: ${error.message}`);
  }
}
