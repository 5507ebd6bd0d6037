/** The places of the navigation, with the keys that lead there. */
import type { Component } from 'svelte';
import Activity from '@lucide/svelte/icons/activity';
import Archive from '@lucide/svelte/icons/archive';
import Boxes from '@lucide/svelte/icons/boxes';
import CalendarClock from '@lucide/svelte/icons/calendar-clock';
import Cog from '@lucide/svelte/icons/cog';
import Cpu from '@lucide/svelte/icons/cpu';
import Database from '@lucide/svelte/icons/database';
import ListChecks from '@lucide/svelte/icons/list-checks';
import ScrollText from '@lucide/svelte/icons/scroll-text';
import Workflow from '@lucide/svelte/icons/workflow';

export interface Place {
  name: string;
  path:
    | '/'
    | '/runs'
    | '/logs'
    | '/flows'
    | '/deployments'
    | '/agents'
    | '/archive'
    | '/sql'
    | '/jobs'
    | '/settings';
  keys: string;
  icon: Component<{ size?: number | string }>;
}

export const places: Place[] = [
  { name: 'Overview', path: '/', keys: 'g o', icon: Activity },
  { name: 'Runs', path: '/runs', keys: 'g r', icon: ListChecks },
  { name: 'Explore logs', path: '/logs', keys: 'g l', icon: ScrollText },
  { name: 'Flows', path: '/flows', keys: 'g f', icon: Workflow },
  { name: 'Deployments', path: '/deployments', keys: 'g d', icon: Boxes },
  { name: 'Agents', path: '/agents', keys: 'g a', icon: Cpu },
  { name: 'Archive', path: '/archive', keys: 'g v', icon: Archive },
  { name: 'SQL', path: '/sql', keys: 'g q', icon: Database },
  { name: 'Jobs', path: '/jobs', keys: 'g j', icon: CalendarClock },
  { name: 'Settings', path: '/settings', keys: 'g s', icon: Cog },
];
