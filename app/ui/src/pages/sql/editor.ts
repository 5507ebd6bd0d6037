/** The editor for a statement: CodeMirror, loaded when the page is open. */

import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  type CompletionContext,
  type CompletionResult,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { sql, SQLDialect } from '@codemirror/lang-sql';
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { EditorState, Prec, StateEffect, StateField, Transaction } from '@codemirror/state';
import {
  Decoration,
  type DecorationSet,
  drawSelection,
  EditorView,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  placeholder,
} from '@codemirror/view';
import { tags } from '@lezer/highlight';

import { offeredColumns } from './completion';
import type { Place } from './answer';
import { VIEWS } from './views';

export interface EditorOptions {
  /** A shadow root: there, styles are adopted sheets, which the policy of the page admits. */
  root: ShadowRoot;
  text: string;
  changed: (text: string) => void;
  run: () => void;
}

// What is of use in a SELECT; all that DuckDB knows would bury the columns.
const DuckDB = SQLDialect.define({
  keywords:
    'all and any as asc asof between by case cast cross current cube desc describe distinct else end' +
    ' escape except exclude exists explain false fetch filter first following from full group grouping' +
    ' having ilike in inner intersect interval is join last lateral left like limit natural not null' +
    ' nulls offset on only or order outer over partition pivot preceding qualify range recursive replace' +
    ' right rollup row rows sample select sets similar some summarize then to true unbounded union' +
    ' unpivot using values when where window with within',
  types:
    'bigint blob boolean date decimal double float hugeint integer json timestamptz uuid varchar',
  builtin:
    'approx_count_distinct arg_max arg_min avg coalesce contains count date_diff date_trunc epoch' +
    ' greatest json_extract_string least length list lower max median min mode now nullif quantile_cont' +
    ' regexp_extract regexp_matches regexp_replace round row_number split_part starts_with strftime' +
    ' string_agg substring sum upper',
  operatorChars: '+-*/%<>!=~^&|@',
  caseInsensitiveIdentifiers: true,
});

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--accent)', fontWeight: '600' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--ok)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--info)' },
  { tag: tags.comment, color: 'var(--ink-3)', fontStyle: 'italic' },
  { tag: tags.typeName, color: 'var(--warn)' },
  { tag: tags.standard(tags.name), color: 'var(--ink)', fontWeight: '600' },
]);

const look = EditorView.theme({
  '&': { height: '100%', color: 'var(--ink)', backgroundColor: 'var(--surface)', fontSize: '13px' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.55' },
  '.cm-content': { caretColor: 'var(--ink)', padding: '8px 0' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '.cm-gutters': {
    border: 'none',
    color: 'var(--ink-3)',
    backgroundColor: 'var(--surface)',
  },
  '.cm-placeholder': { color: 'var(--ink-3)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground':
    { backgroundColor: 'var(--accent-soft)' },
  '.cm-matchingBracket, &.cm-focused .cm-matchingBracket': {
    backgroundColor: 'var(--surface-3)',
  },
  '.cm-wrong': {
    textDecoration: 'underline wavy var(--danger)',
    backgroundColor: 'var(--danger-soft)',
  },
  '.cm-tooltip': {
    border: '1px solid var(--line)',
    borderRadius: '6px',
    color: 'var(--ink)',
    backgroundColor: 'var(--surface)',
    boxShadow: 'var(--shadow)',
    overflow: 'hidden',
  },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', maxHeight: '14em' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '3px 8px', lineHeight: '1.4' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': {
    color: 'var(--ink)',
    backgroundColor: 'var(--accent-soft)',
  },
  '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: '700' },
  '.cm-completionDetail': { color: 'var(--ink-2)', fontStyle: 'normal', marginLeft: '1em' },
  '.cm-completionIcon': { display: 'none' },
});

const mark = StateEffect.define<{ from: number; to: number } | null>();

/** What is wrong, until the statement changes. */
const wrong = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    const told = transaction.effects.find((each) => each.is(mark));
    if (told)
      return told.value
        ? Decoration.set(
            Decoration.mark({ class: 'cm-wrong' }).range(told.value.from, told.value.to),
          )
        : Decoration.none;
    return transaction.docChanged ? Decoration.none : marks;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/**
 * Typing over a selection. Left to the browser, it would give the new text the colour of the old one as an
 * inline style, which the policy of the page forbids.
 */
const typingOver = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { from, to, empty } = view.state.selection.main;
    if (event.inputType !== 'insertText' || !event.data || empty || view.composing) return false;
    const text = event.data;
    const insert = () =>
      view.state.update({
        ...view.state.replaceSelection(text),
        userEvent: 'input.type',
        scrollIntoView: true,
      });
    const handled = view.state
      .facet(EditorView.inputHandler)
      .some((handler) => handler(view, from, to, text, insert));
    if (!handled) view.dispatch(insert());
    event.preventDefault();
    return true;
  },
});

function columns(context: CompletionContext): CompletionResult | null {
  const word = context.matchBefore(/\w*/);
  if (!word || (word.from === word.to && !context.explicit)) return null;
  // After a dot, the language's own source knows whose columns they are.
  if (context.state.sliceDoc(word.from - 1, word.from) === '.') return null;
  return {
    from: word.from,
    options: offeredColumns(context.state.doc.toString()).map((each) => ({ ...each, boost: 10 })),
    validFor: /^\w*$/,
  };
}

/** An editor within `root` that is there until `destroy()`. */
export class Editor {
  #view: EditorView;

  constructor({ root, text, changed, run }: EditorOptions) {
    this.#view = new EditorView({
      root,
      parent: root,
      doc: text,
      extensions: [
        Prec.highest(
          keymap.of([
            {
              key: 'Mod-Enter',
              run: () => {
                run();
                return true;
              },
            },
          ]),
        ),
        lineNumbers(),
        highlightSpecialChars(),
        history(),
        drawSelection(),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ icons: false }),
        keymap.of([
          ...closeBracketsKeymap,
          ...completionKeymap,
          ...historyKeymap,
          ...defaultKeymap,
        ]),
        sql({
          dialect: DuckDB,
          keywordCompletion: (label, type) => ({
            label: type === 'keyword' ? label.toUpperCase() : label,
            type,
          }),
          schema: Object.fromEntries(
            VIEWS.map((view) => [
              view.name,
              {
                self: { label: view.name, type: 'class', detail: view.about, boost: 20 },
                children: view.columns.map((column) => ({
                  label: column.name,
                  type: 'property',
                  detail: column.type.toLowerCase(),
                })),
              },
            ]),
          ),
        }),
        DuckDB.language.data.of({ autocomplete: columns }),
        syntaxHighlighting(colours),
        wrong,
        typingOver,
        look,
        EditorState.tabSize.of(4),
        EditorView.lineWrapping,
        placeholder('SELECT … FROM logs'),
        EditorView.contentAttributes.of({ 'aria-label': 'SQL statement' }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) changed(update.state.doc.toString());
        }),
      ],
    });
  }

  /** Put another statement in place of the one that is there; undo brings that back. */
  set(text: string) {
    const length = this.#view.state.doc.length;
    if (text === this.#view.state.doc.toString()) return;
    this.#view.dispatch({
      changes: { from: 0, to: length, insert: text },
      annotations: Transaction.userEvent.of('input.replace'),
    });
  }

  /** Write at the cursor. */
  insert(text: string) {
    this.#view.dispatch(this.#view.state.replaceSelection(text));
    this.focus();
  }

  focus() {
    this.#view.focus();
  }

  /** Mark the word at a place, or take the mark away. */
  mark(place: Place | undefined) {
    const range = place && this.#range(place);
    this.#view.dispatch({ effects: mark.of(range ?? null) });
  }

  /** Put the cursor to a place. */
  goTo(place: Place) {
    const range = this.#range(place);
    if (range) this.#view.dispatch({ selection: { anchor: range.from }, scrollIntoView: true });
    this.focus();
  }

  destroy() {
    this.#view.destroy();
  }

  #range({ line, column }: Place): { from: number; to: number } | undefined {
    const doc = this.#view.state.doc;
    if (line > doc.lines) return undefined;
    const found = doc.line(line);
    // Columns count characters, the editor counts halves of those beyond the basic plane.
    const before = [...found.text].slice(0, column - 1).join('').length;
    const rest = /^(?:\w+|'(?:[^']|'')*'|\S)/.exec(found.text.slice(before))?.[0].length ?? 0;
    if (rest) return { from: found.from + before, to: found.from + before + rest };
    // At the end of the statement there is only what came before.
    const end = found.from + Math.min(before, found.length);
    return end > 0 ? { from: end - 1, to: end } : undefined;
  }
}
