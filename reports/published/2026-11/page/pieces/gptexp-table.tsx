// A table of a gptexp report in React. It needs React alone and renders on a server.
import { Fragment, type TableHTMLAttributes } from "react";

export interface TableData {
  readonly title: string;
  readonly caption: string;
  readonly runIds: readonly string[];
  readonly columns: readonly TableColumn[];
  readonly rows: readonly (readonly TableCell[])[];
}

export interface TableColumn {
  readonly heading: string;
  /** Its unit, or what explains it. */
  readonly note: string;
  /** A heading that it shares with its neighbours. */
  readonly group: string;
  readonly numeric: boolean;
  readonly swatch: Swatch | null;
}

export interface TableCell {
  readonly text: string;
  /** A second, smaller line. */
  readonly detail: string;
  /** best or diverged. */
  readonly mark: string;
  readonly swatch: Swatch | null;
}

/** How an arm's line looks in the figures. */
export interface Swatch {
  readonly colour: string;
  readonly dash: string;
}

const style = { __html: ":is(.gx-table,.gx-samples,.gx-code){--gx-ink:#1d2329;--gx-muted:#5a646e;--gx-grid:#dfe4e8;--gx-paper:#fffffe;--gx-alert:#b42318;--gx-arm0:#0066a6;--gx-arm1:#c94f00;--gx-arm2:#007a56;--gx-arm3:#a8418a;--gx-arm4:#7d6300;--gx-arm5:#3f8fc4;--gx-arm6:#505860;}@media (prefers-color-scheme:dark){:root:not([data-theme=\"light\"]) :is(.gx-table,.gx-samples,.gx-code),:root:not([data-theme=\"light\"]):is(.gx-table,.gx-samples,.gx-code){--gx-ink:#e8ebee;--gx-muted:#a2acb6;--gx-grid:#333b43;--gx-paper:#14181c;--gx-alert:#ff8f84;--gx-arm0:#56b4e9;--gx-arm1:#ff8b3d;--gx-arm2:#2fc898;--gx-arm3:#e592c6;--gx-arm4:#e6c229;--gx-arm5:#a9d6f5;--gx-arm6:#c3c9cf;}}:root[data-theme=\"dark\"] :is(.gx-table,.gx-samples,.gx-code),:root[data-theme=\"dark\"]:is(.gx-table,.gx-samples,.gx-code){--gx-ink:#e8ebee;--gx-muted:#a2acb6;--gx-grid:#333b43;--gx-paper:#14181c;--gx-alert:#ff8f84;--gx-arm0:#56b4e9;--gx-arm1:#ff8b3d;--gx-arm2:#2fc898;--gx-arm3:#e592c6;--gx-arm4:#e6c229;--gx-arm5:#a9d6f5;--gx-arm6:#c3c9cf;}@media print{:is(.gx-table,.gx-samples,.gx-code),:root[data-theme=\"dark\"] :is(.gx-table,.gx-samples,.gx-code),:root[data-theme=\"dark\"]:is(.gx-table,.gx-samples,.gx-code){--gx-ink:#1d2329;--gx-muted:#5a646e;--gx-grid:#dfe4e8;--gx-paper:#fffffe;--gx-alert:#b42318;--gx-arm0:#0066a6;--gx-arm1:#c94f00;--gx-arm2:#007a56;--gx-arm3:#a8418a;--gx-arm4:#7d6300;--gx-arm5:#3f8fc4;--gx-arm6:#505860;}}\n/* For pasted tables, samples and code: all hangs on .gx-table, .gx-samples and .gx-code, in the site's own font and colours. */\n.gx-table { border-collapse: collapse; display: block; max-width: 100%; overflow-x: auto; font-variant-numeric: tabular-nums; }\n.gx-table caption { display: block; text-align: left; padding: 0 0 .5rem; opacity: .8; }\n.gx-table th, .gx-table td { padding: .35rem .7rem; border-bottom: 1px solid color-mix(in srgb, currentColor 18%, transparent); text-align: left; vertical-align: top; }\n.gx-table .number { text-align: right; }\n.gx-table td.number { white-space: nowrap; }\n.gx-table .group { text-align: center; }\n.gx-table small { display: block; font-weight: 400; opacity: .75; }\n.gx-table .best { font-weight: 700; }\n.gx-table .diverged { color: var(--gx-alert); }\n.gx-table .nb { white-space: nowrap; }\n:is(.gx-table, .gx-samples) .swatch { display: inline-block; width: 28px; height: 3px; margin-right: .55em; vertical-align: .26em; }\n.gx-samples .samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)); gap: 1rem; }\n:is(.gx-samples, .gx-code) figure { margin: 0; min-width: 0; }\n.gx-samples figcaption { display: flex; flex-wrap: wrap; gap: 0 .8rem; }\n.gx-samples .who { flex-basis: 100%; }\n.gx-samples .gauge { flex-basis: 100%; width: 100%; height: 4px; background: var(--gx-grid); stroke: var(--gx-muted); stroke-width: 4; }\n.gx-samples pre { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 17rem; overflow-y: auto; font-size: .85em; }\n.gx-samples .prompt { opacity: .7; }\n.gx-code .listings { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1rem; }\n.gx-code .lines { overflow-x: auto; font-size: .85em; line-height: 1.5; }\n.gx-code .line { display: block; min-height: 1.5em; white-space: pre; }\n.gx-code .sign { display: inline-block; width: 1.4em; user-select: none; }\n.gx-code mark { color: inherit; background: color-mix(in srgb, #009e73 20%, transparent); }\n" };

function ArmLine({ swatch }: { swatch: Swatch | null }) {
  if (!swatch) return null;
  return (
    <svg className="swatch" viewBox="0 0 31 3" width="28" height="3" aria-hidden="true">
      <path d="M0 1.5H31" fill="none" strokeWidth="3" strokeDasharray={swatch.dash} stroke={swatch.colour} />
    </svg>
  );
}

/** Neighbouring columns with one heading, each with its first column and how many they are. */
function listGroups(columns: readonly TableColumn[]): [TableColumn, number][] {
  const groups: [TableColumn, number][] = [];
  for (const column of columns) {
    const last = groups.at(-1);
    if (last && column.group && last[0].group === column.group) last[1] += 1;
    else groups.push([column, 1]);
  }
  return groups;
}

export function GptexpTable({ table, className = "", ...rest }: TableHTMLAttributes<HTMLTableElement> & { table: TableData }) {
  const grouped = table.columns.some((column) => column.group);
  const heading = (column: TableColumn, rowSpan?: number) => (
    <th scope="col" rowSpan={rowSpan} className={column.numeric ? "number" : undefined}>
      {column.heading}
      {column.note && <small> {column.note}</small>}
    </th>
  );
  return (
    <>
      <style dangerouslySetInnerHTML={style} />
      <table className={`gx-table ${className}`.trim()} tabIndex={0} {...rest}>
        <caption>
          {table.title}. {table.caption}
        </caption>
        <thead>
          {grouped && (
            <tr>
              {listGroups(table.columns).map(([column, count], place) => (
                <Fragment key={place}>
                  {column.group ? (
                    <th scope="colgroup" colSpan={count} className="group">
                      <ArmLine swatch={column.swatch} />
                      {column.group}
                    </th>
                  ) : (
                    heading(column, 2)
                  )}
                </Fragment>
              ))}
            </tr>
          )}
          <tr>
            {table.columns.map((column, place) => (!grouped || column.group) && <Fragment key={place}>{heading(column)}</Fragment>)}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, number) => (
            <tr key={number}>
              {row.map((cell, place) => {
                const Tag = place ? "td" : "th";
                return (
                  <Tag key={place} scope={place ? undefined : "row"} className={`${table.columns[place]?.numeric ? "number" : ""} ${cell.mark}`.trim() || undefined}>
                    <ArmLine swatch={cell.swatch} />
                    {cell.text}
                    {cell.detail && <small> {cell.detail}</small>}
                  </Tag>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
