// Where the page stands in a frame: tell its height, and follow the data-theme of a page of the same site.
if (parent !== window) {
  const root = document.documentElement;
  document.body.style.margin = "0";
  new ResizeObserver(() => parent.postMessage({ gptexp: "{slug}", height: Math.ceil(root.getBoundingClientRect().height) }, "*")).observe(root);
  try {
    const site = parent.document.documentElement;
    const follow = () => (site.dataset.theme ? root.setAttribute("data-theme", site.dataset.theme) : root.removeAttribute("data-theme"));
    new MutationObserver(follow).observe(site, { attributeFilter: ["data-theme"] });
    follow();
  } catch {
    // Another site's page keeps its theme to itself.
  }
}
