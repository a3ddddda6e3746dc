import type { TableHTMLAttributes } from "react";
import { GptexpTable, type TableData } from "./gptexp-table";

export const table: TableData = {"title":"How the run ends","caption":"One seed: a direction, no interval.","runIds":["4a2d3ad3545b"],"columns":[{"heading":"arm","note":"","group":"","numeric":false,"swatch":null},{"heading":"outcome","note":"","group":"","numeric":false,"swatch":null},{"heading":"final val loss","note":"whole split","group":"","numeric":true,"swatch":null},{"heading":"perplexity","note":"","group":"","numeric":true,"swatch":null},{"heading":"bits per byte","note":"","group":"","numeric":true,"swatch":null},{"heading":"best val loss","note":"on a fixed subset","group":"","numeric":true,"swatch":null},{"heading":"at step","note":"","group":"","numeric":true,"swatch":null},{"heading":"final train loss","note":"mean of last 10","group":"","numeric":true,"swatch":null}],"rows":[[{"text":"warmup + cosine","detail":"","mark":"","swatch":{"colour":"var(--gx-arm3)","dash":"18 4.8 4.2 4.8"}},{"text":"1 of 1 completed, 1 overfit, 1 above-bigram","detail":"","mark":"","swatch":null},{"text":"10.111","detail":"","mark":"best","swatch":null},{"text":"24,614","detail":"","mark":"","swatch":null},{"text":"4.716","detail":"","mark":"","swatch":null},{"text":"5.062","detail":"","mark":"","swatch":null},{"text":"500","detail":"","mark":"","swatch":null},{"text":"0.009","detail":"","mark":"","swatch":null}]]};

export default function TextMilestonesResults(props: TableHTMLAttributes<HTMLTableElement>) {
  return <GptexpTable table={table} {...props} />;
}
