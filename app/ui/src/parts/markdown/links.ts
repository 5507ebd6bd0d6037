/** Where Markdown may lead. */

/** The address when it is one of a web page or of mail; else undefined. */
export function safeLink(href: string, here = location.origin): string | undefined {
  if (!URL.canParse(href, here)) return undefined;
  const url = new URL(href, here);
  return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : undefined;
}

/** Whether it is this host's, so that the page may show it. */
export const isLocal = (href: string, here = location.origin): boolean =>
  URL.canParse(href, here) && new URL(href, here).origin === here;
