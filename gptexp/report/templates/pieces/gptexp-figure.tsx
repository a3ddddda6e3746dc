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

const style = { __html: "{css}" };

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
      {figure.curves.length > 0 && <output className="gx-read">{"{hint}"}</output>}
      {showCaption && <figcaption>{figure.caption}</figcaption>}
    </figure>
  );
}
