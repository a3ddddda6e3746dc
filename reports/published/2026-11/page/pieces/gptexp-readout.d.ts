/** What a figure shows, in numbers. */
export interface FigureData {
  readonly slug: string;
  readonly title: string;
  readonly caption: string;
  /** What it shows, in words: its alternative text. */
  readonly description: string;
  readonly runIds: readonly string[];
  readonly layouts: readonly Layout[];
  readonly panels: readonly Panel[];
  readonly curves: readonly Curve[];
}

/** The figure drawn for one width. */
export interface Layout {
  readonly name: string;
  readonly svg: string;
  readonly panels: readonly { readonly box: readonly number[]; readonly x: readonly number[]; readonly y: readonly number[] }[];
}

export interface Panel {
  readonly xLabel: string;
  readonly yLabel: string;
  readonly xScale: string;
  readonly yScale: string;
}

export interface Curve {
  readonly panel: number;
  readonly name: string;
  /** What it shows, as the figure's CSV calls it. */
  readonly what: string;
  /** The run behind it, where it is one alone. */
  readonly run: string;
  readonly colour: string;
  /** x and y of every drawn point, and x as it is told where that differs. */
  readonly points: readonly (readonly number[])[];
}

/** Makes the figure inside `root` answer mouse, finger and arrow keys; what it returns undoes that. */
export function attachReadout(root: Element, figure: FigureData): () => void;

/** A number as the readout writes it. */
export function write(value: number): string;

/** The readout's sentence about a point. */
export function describe(figure: FigureData, curve: Curve, point: readonly number[]): string;
