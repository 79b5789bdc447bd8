/** The answer in words and bars. */
import { byId, dot, element } from "./dom.js";
import { bestOf, percent, spoken } from "./words.js";

export class AnswerView {
  #classes = [];
  #colours;
  #rows = [];

  /** Bars for the classes of a model, in its own order, so that they do not jump. */
  use(classes, colours) {
    this.#classes = classes;
    this.#colours = colours;
    this.#rows = classes.map((name) => {
      const bar = element("span", { style: { background: colours.get(name), width: "0" } });
      const track = element("span", { className: "bar" }, [bar]);
      track.ariaHidden = "true";
      const value = element("data", { className: "value", textContent: "–" });
      const item = element("li", {}, [
        element("span", { className: "name", textContent: spoken(name) }),
        track,
        value,
      ]);
      return { item, bar, value };
    });
    byId("bars").replaceChildren(...this.#rows.map(({ item }) => item));
    this.clear();
  }

  clear() {
    this.#showBars(null);
    byId("answer-class").replaceChildren("–");
    this.#showSource("Nothing was heard yet.");
    this.showNotes([]);
  }

  /**
   * @param {number[]|null} probabilities Null: no speech.
   * @param {string} source What the answer is about.
   */
  show(probabilities, source) {
    this.#showBars(probabilities);
    this.#showSource(source);
    if (probabilities === null) return byId("answer-class").replaceChildren("no speech");
    const best = bestOf(probabilities);
    const name = this.#classes[best];
    byId("answer-class").replaceChildren(
      dot(this.#colours.get(name)),
      spoken(name),
      element("small", { textContent: percent(probabilities[best]) }),
    );
  }

  #showBars(probabilities) {
    const best = probabilities ? bestOf(probabilities) : -1;
    this.#rows.forEach(({ item, bar, value }, i) => {
      const share = probabilities ? probabilities[i] : 0;
      bar.style.width = `${100 * share}%`;
      value.textContent = probabilities ? percent(share) : "–";
      value.value = probabilities ? String(share) : ""; // all digits, for programs
      item.classList.toggle("best", i === best);
    });
  }

  #showSource(text) {
    byId("answer-source").textContent = text;
  }

  /** Lines that the reader must know to judge the answer. */
  showNotes(notes) {
    const list = byId("notes");
    const now = [...list.children].map((item) => item.textContent);
    if (now.join("\n") === notes.join("\n")) return;
    list.replaceChildren(...notes.map((note) => element("li", { textContent: note })));
  }
}
