import manifest from "../package.json";

export const SERVICE = "ops-ui";
export const VERSION: string = manifest.version;
