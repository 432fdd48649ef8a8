// As much of a browser as the page of a run uses: elements with text and children, nothing drawn.
class Element {
  constructor(tag) { this.tag = tag; this.children = []; this.style = {}; this.attributes = {}; this.value = ""; this._text = ""; }
  append(...items) { for (const item of items) this.children.push(typeof item === "string" ? Object.assign(new Element("#text"), { _text: item }) : item); }
  replaceChildren(...items) { this.children = []; this._text = ""; this.append(...items); }
  set textContent(text) { this.children = []; this._text = String(text); }
  get textContent() { return this._text + this.children.map((child) => child.textContent).join(""); }
  setAttribute(name, value) { this.attributes[name] = value; }
  toggleAttribute(name, on) { if (on) this.attributes[name] = ""; else delete this.attributes[name]; }
  scrollIntoView() {} focus() {}
}
const byId = {};
globalThis.document = { getElementById: (id) => (byId[id] ??= new Element(id)), createElement: (tag) => new Element(tag), createElementNS: (_, tag) => new Element(tag) };
globalThis.Option = class extends Element { constructor(text, value) { super("option"); this.textContent = text; this.value = value; } };
byId.data = new Element("script"); byId.data.textContent = DATA;

// PAGE: the script of the page comes here

const count = () => byId.count.textContent;
const seen = [count(), byId.curves.children.length];
byId.search.value = "UNIQUE"; byId.search.oninput();
const all = (e) => [e, ...e.children.flatMap(all)];
seen.push(count(), all(byId.group).filter((e) => e.tag === "mark").length, byId.group.children[0].textContent);
byId.search.value = ""; byId.sort.value = "best"; byId.sort.onchange();
seen.push(count(), byId.list.children[0].group.group);
byId.step.value = "grpo · train · step 2"; byId.step.onchange();
seen.push(count());
document.onkeydown({ key: "j", target: {} });
seen.push(byId.group.children[0].textContent);
byId.search.value = "nowhere"; byId.search.oninput();
seen.push(count(), byId.group.textContent);
console.log(JSON.stringify(seen));
