/** How a background job does, from what the API says of it. */
import type { Schema } from '../../api/client';
import { duration } from '../../format/time';

export type JobStatus = Schema<'JobStatus'>;
export type Health = 'well' | 'failing' | 'silent' | 'working' | 'idle';

// A pass may be late by as much as it takes a busy machine; the third one missed is no accident.
const MISSED = 3;
const SLACK_SECONDS = 60;

/**
 * `failing`: its newest pass failed, or its process died in it. `silent`: no pass for much longer than its
 * interval. `working`: it is at it. `idle`: it never ran yet.
 */
export function healthOf(job: JobStatus, now: Date): Health {
  if (job.last?.outcome === 'running') return 'working';
  // A pass that found nothing to do leaves no record, but says that the failure is over.
  const over = job.last && job.last_pass && Date.parse(job.last_pass) > endOf(job.last);
  if ((job.last?.outcome === 'failed' || job.last?.outcome === 'lost') && !over) return 'failing';
  if (!job.last_pass) return 'idle';
  const seconds = (now.getTime() - Date.parse(job.last_pass)) / 1000;
  return seconds > MISSED * job.every_seconds + SLACK_SECONDS ? 'silent' : 'well';
}

function endOf(pass: NonNullable<JobStatus['last']>): number {
  return Date.parse(pass.finished ?? pass.started);
}

/** What stands beside a job. */
export const HEALTH_TEXT: Record<Health, string> = {
  well: 'Well',
  failing: 'Failing',
  silent: 'Silent',
  working: 'Working',
  idle: 'Not yet run',
};

/** `log-offload` as a title: `Log offload`. */
export function title(name: string): string {
  const words = name.replaceAll('-', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** How often a job runs: `5 s`, where a measured time would be `5.0 s`. */
export const interval = (seconds: number) =>
  seconds < 60 ? `${Number(seconds.toFixed(1))} s` : duration(seconds);

/** What a pass did: `1 segment`-like figures that are not zero, or that there was nothing to do. */
export function reportText(report: Record<string, unknown> | null | undefined): string {
  const told = Object.entries(report ?? {})
    .filter(([, value]) => value !== 0 && value !== null && value !== false && value !== '')
    .map(([name, value]) =>
      value === true
        ? words(name)
        : `${typeof value === 'number' ? grouped(value) : value} ${words(name)}`,
    );
  return told.join(', ') || 'Nothing to do';
}

const words = (name: string) => name.replaceAll('_', ' ');
const grouped = (value: number) =>
  value.toLocaleString('en-US', { maximumFractionDigits: value < 10 ? 2 : 0 });
