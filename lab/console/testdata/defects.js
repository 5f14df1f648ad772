(() => {
	const found = [];
	const meets = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.5;
	const within = (a, b) => a.left >= b.left - 0.5 && a.right <= b.right + 0.5 && a.top >= b.top - 0.5 && a.bottom <= b.bottom + 0.5;
	const lines = node => { const r = document.createRange(); r.selectNodeContents(node); return [...r.getClientRects()].filter(r => r.width > 0); };
	const texts = element => { const all = []; const w = document.createTreeWalker(element, NodeFilter.SHOW_TEXT); while (w.nextNode()) if (!w.currentNode.parentElement.closest(".spoken")) all.push(w.currentNode); return all; };
	const cards = [...document.querySelectorAll(".card")].map(e => ({e, name: e.querySelector(".title").textContent, box: e.getBoundingClientRect()}));
	const labels = [...document.querySelectorAll(".label:not(.unplaced)")].map(e => ({name: e.querySelector(".spoken").textContent.split(":")[0], box: e.querySelector(".seen").getBoundingClientRect()}));
	if (document.querySelectorAll(".label").length !== CALLS) found.push("calls missing");
	if (document.getAnimations().some(a => a instanceof CSSTransition)) found.push("still moving");
	for (const {e, name, box} of cards) {
		for (const text of texts(e)) {
			if (lines(text).some(line => !within(line, box))) found.push("card " + name + ": too narrow for " + text.data);
		}
		for (const text of texts(e.querySelector(".title"))) {
			if (lines(text).length > 1 && box.width < 270) found.push("card " + name + ": " + text.data + " is broken within");
		}
	}
	const all = [...cards.map(c => ({...c, kind: "card "})), ...labels.map(l => ({...l, kind: "label "}))];
	all.forEach((a, i) => all.slice(i + 1).forEach(b => { if (meets(a.box, b.box)) found.push(a.kind + a.name + " meets " + b.kind + b.name); }));
	return [...new Set(found)].slice(0, 8).join("; ");
})()
