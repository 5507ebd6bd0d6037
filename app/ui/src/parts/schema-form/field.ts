/** What every field of a form is given. */
import type { Complaint } from './complaints';
import type { Json, JsonSchema } from './schema';

export interface FieldProps {
  /** With its references followed. */
  schema: JsonSchema;
  /** Undefined when the form's values leave it out. */
  value: Json | undefined;
  change: (value: Json | undefined) => void;
  /** About this field and what is below it. */
  complaints: Complaint[];
  /** Where it is: `steps.0.name`. */
  path: string;
}

/** What ties a control to its label and its complaints. */
export interface ControlProps extends FieldProps {
  id: string;
  describedBy: string | undefined;
  invalid: boolean;
}
