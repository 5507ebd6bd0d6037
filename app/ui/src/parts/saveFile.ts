/** Hand a file that was made here to the reader. */
export function saveFile(name: string, file: Blob) {
  const url = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser takes hold of it when the download begins.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
