"use client";
// A figure of a gptexp report in React. It needs React alone, renders on a server, and answers when it is in a browser.
import { useEffect, useRef, type HTMLAttributes } from "react";
import { attachReadout, type FigureData } from "./gptexp-readout.js";

export type { FigureData } from "./gptexp-readout.js";

export interface PieceProps extends HTMLAttributes<HTMLElement> {
  /** Say what the figure is above it. */
  showTitle?: boolean;
  /** Say below it how to read it. */
  showCaption?: boolean;
}

const style = { __html: ".gx-piece{--gx-ink:#1d2329;--gx-muted:#5a646e;--gx-grid:#dfe4e8;--gx-paper:#fffffe;--gx-alert:#b42318;--gx-arm0:#0066a6;--gx-arm1:#c94f00;--gx-arm2:#007a56;--gx-arm3:#a8418a;--gx-arm4:#7d6300;--gx-arm5:#3f8fc4;--gx-arm6:#505860;}@media (prefers-color-scheme:dark){:root:not([data-theme=\"light\"]) .gx-piece,:root:not([data-theme=\"light\"]).gx-piece{--gx-ink:#e8ebee;--gx-muted:#a2acb6;--gx-grid:#333b43;--gx-paper:#14181c;--gx-alert:#ff8f84;--gx-arm0:#56b4e9;--gx-arm1:#ff8b3d;--gx-arm2:#2fc898;--gx-arm3:#e592c6;--gx-arm4:#e6c229;--gx-arm5:#a9d6f5;--gx-arm6:#c3c9cf;}}:root[data-theme=\"dark\"] .gx-piece,:root[data-theme=\"dark\"].gx-piece{--gx-ink:#e8ebee;--gx-muted:#a2acb6;--gx-grid:#333b43;--gx-paper:#14181c;--gx-alert:#ff8f84;--gx-arm0:#56b4e9;--gx-arm1:#ff8b3d;--gx-arm2:#2fc898;--gx-arm3:#e592c6;--gx-arm4:#e6c229;--gx-arm5:#a9d6f5;--gx-arm6:#c3c9cf;}@media print{.gx-piece,:root[data-theme=\"dark\"] .gx-piece,:root[data-theme=\"dark\"].gx-piece{--gx-ink:#1d2329;--gx-muted:#5a646e;--gx-grid:#dfe4e8;--gx-paper:#fffffe;--gx-alert:#b42318;--gx-arm0:#0066a6;--gx-arm1:#c94f00;--gx-arm2:#007a56;--gx-arm3:#a8418a;--gx-arm4:#7d6300;--gx-arm5:#3f8fc4;--gx-arm6:#505860;}}\n.gx-piece{margin:0;width:100%;container-type:inline-size;text-align:left}\n.gx-piece .gx-title{margin:0 0 .5em;font-weight:600}\n.gx-piece figcaption{margin:.5em 0 0;font-size:.9em;opacity:.85}\n.gx-piece .gx-plot{touch-action:pan-y;border-radius:3px}\n.gx-piece .gx-plot:focus-visible{outline:2px solid var(--gx-arm0);outline-offset:3px}\n.gx-piece .gx-layout svg{display:block;width:100%;height:auto;max-width:none}\n.gx-piece .gx-narrow{display:none;max-width:440px;margin:auto}\n@container (max-width:540px){.gx-piece .gx-wide{display:none}.gx-piece .gx-narrow{display:block}}\n.gx-piece .gx-ring{fill:none;stroke:var(--gx-ink);stroke-width:2;pointer-events:none}\n.gx-piece .gx-read{display:block;margin-top:.5em;min-height:1.5em;font-size:.9em;font-variant-numeric:tabular-nums;opacity:.85}\n@media print{.gx-piece .gx-read{display:none}}\n" };

export function GptexpFigure({ figure, showTitle = true, showCaption = true, className = "", ...rest }: PieceProps & { figure: FigureData }) {
  const root = useRef<HTMLElement>(null);
  useEffect(() => (root.current ? attachReadout(root.current, figure) : undefined), [figure]);
  return (
    <figure ref={root} className={`gx-piece ${className}`.trim()} {...rest}>
      <style dangerouslySetInnerHTML={style} />
      {showTitle && <p className="gx-title">{figure.title}</p>}
      <div className="gx-plot" tabIndex={0} role="group" aria-label={`${figure.title}: arrow keys read its points`}>
        {figure.layouts.map(({ name, svg }) => (
          <div key={name} className={`gx-layout gx-${name}`} dangerouslySetInnerHTML={{ __html: svg }} />
        ))}
      </div>
      {figure.curves.length > 0 && <output className="gx-read">{"Point at a curve, or use the arrow keys."}</output>}
      {showCaption && <figcaption>{figure.caption}</figcaption>}
    </figure>
  );
}
