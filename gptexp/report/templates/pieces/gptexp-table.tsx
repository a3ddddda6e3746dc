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

const style = { __html: "{css}" };

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
