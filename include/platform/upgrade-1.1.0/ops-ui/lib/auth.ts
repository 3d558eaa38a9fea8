/** Signing in by GitHub: NextAuth's own flow, with addresses that an environment may point elsewhere. */

import type { NextAuthOptions } from "next-auth";
import GitHubProvider from "next-auth/providers/github";

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
        userinfo: { url: `${api}/user`, request: ({ client, tokens }) => client.userinfo(tokens.access_token ?? "") },
      }),
    ],
    secret: process.env.NEXTAUTH_SECRET ?? "",
    session: { strategy: "jwt", maxAge: 8 * 60 * 60 },
  };
}
