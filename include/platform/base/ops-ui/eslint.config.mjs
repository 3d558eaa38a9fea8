import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: [".next/", "coverage/", "node_modules/", "next-env.d.ts"] },
  {
    files: ["**/*.ts", "**/*.tsx"],
    extends: [...tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: { "no-console": "error" },
  },
);
