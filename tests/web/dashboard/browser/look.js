// What tests ask of an open page. Playwright calls it with the name of one of these.
(what) => {
  const scrolls = (one) =>
    one && one !== document.body &&
    (getComputedStyle(one).overflowX !== "visible" || scrolls(one.parentElement));

  const asked = {
    /** What is wider than the window, and is in nothing that scrolls by itself. */
    overflow() {
      const most = document.documentElement.clientWidth;
      const whole = document.documentElement.scrollWidth;
      if (whole <= most) return [];
      const end = (one) => Math.round(one.getBoundingClientRect().right);
      return [...document.querySelectorAll("body *")]
        .filter((one) => end(one) > most + 1 && !scrolls(one.parentElement))
        .slice(0, 5)
        .map((one) => `${one.tagName}.${one.className} to ${end(one)}`)
        .concat(`page ${whole} > ${most}`);
    },

    elements: () => document.querySelectorAll("*").length,

    /** What still moves by itself. */
    moving: () =>
      document.getAnimations()
        .filter((one) => one.effect.getTiming().duration > 1)
        .map((one) => one.animationName ?? one.transitionProperty),

    async axe() {
      const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
      const found = await axe.run(document, { resultTypes: ["violations"], runOnly: tags });
      const words = (node) => `${node.html.slice(0, 200)} ${node.any.map((one) => one.message)}`;
      return found.violations.map((one) => [one.id, one.nodes.slice(0, 3).map(words)]);
    },
  };
  return asked[what]();
}
