/** Signing in by GitHub: NextAuth's own flow, with addresses that an environment may point elsewhere. */

import type { NextAuthOptions, Profile, TokenSet } from "next-auth";
import GitHubProvider, { type GithubEmail } from "next-auth/providers/github";

const LIMIT_MS = 10_000;

/** Read when a request comes, so that a build holds no secret. */
export function authOptions(): NextAuthOptions {
  const base = process.env.GITHUB_BASE_URL || "https://github.com";
  const api = process.env.GITHUB_API_URL || "https://api.github.com";
  return {
    providers: [
      GitHubProvider({
        clientId: process.env.GITHUB_ID ?? "",
        clientSecret: process.env.GITHUB_SECRET ?? "",
        authorization: { url: `${base}/login/oauth/authorize`, params: { scope: "read:user user:email" } },
        token: `${base}/login/oauth/access_token`,
        issuer: `${base}/login/oauth`,
        userinfo: { url: `${api}/user`, request: ({ tokens }) => readUser(api, tokens) },
      }),
    ],
    secret: process.env.NEXTAUTH_SECRET ?? "",
    session: { strategy: "jwt", maxAge: 8 * 60 * 60 },
  };
}

/** The signed-in user; people who keep their address out of their profile have it among their addresses only. */
async function readUser(api: string, tokens: TokenSet): Promise<Profile> {
  const user = await ask<Profile>(`${api}/user`, tokens);
  if (user.email) return user;
  const emails = await ask<GithubEmail[]>(`${api}/user/emails`, tokens);
  const primary = emails.find((each) => each.primary)?.email;
  return primary === undefined ? user : { ...user, email: primary };
}

async function ask<T>(url: string, tokens: TokenSet): Promise<T> {
  const headers = { accept: "application/vnd.github+json", authorization: `Bearer ${tokens.access_token ?? ""}` };
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(LIMIT_MS) });
  if (!response.ok) throw new Error(`GitHub answered ${String(response.status)} to ${new URL(url).pathname}`);
  return (await response.json()) as T;
}
