/** What the server finds wrong with a form's values, and at which field. */
import type { Schema } from '../../api/client';

export type Complaint = string | Schema<'ErrorsAt'>;

/** Complaints about the field itself. */
export function here(complaints: Complaint[]): string[] {
  return complaints.filter((each) => typeof each === 'string');
}

/** Complaints about a property or an item of the field, or about what is below it. */
export function below(complaints: Complaint[], step: string | number): Complaint[] {
  return complaints.flatMap((each) =>
    typeof each !== 'string' && (each.property === step || each.index === step) ? each.errors : [],
  );
}

/** How many there are in all. */
export function total(complaints: Complaint[]): number {
  return complaints.reduce<number>(
    (sum, each) => sum + (typeof each === 'string' ? 1 : total(each.errors)),
    0,
  );
}

/** The validator's words, without the value that stands in the field anyway. */
export function plain(message: string): string {
  if (/ is a required property$/.test(message)) return 'Required';
  const type = / is not of type (.+)$/.exec(message);
  if (type) return `Is not of type ${type[1]?.replaceAll("'", '')}`;
  return message;
}
