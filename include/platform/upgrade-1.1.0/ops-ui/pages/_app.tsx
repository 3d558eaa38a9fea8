import type { AppProps } from "next/app";
import Head from "next/head";
import type { Session } from "next-auth";
import { SessionProvider } from "next-auth/react";

import "../styles/global.css";

interface PageProps {
  /** null: nobody is signed in, or signing in is switched off. */
  session?: Session | null;
}

export default function App({ Component, pageProps }: AppProps<PageProps>) {
  return (
    <SessionProvider session={pageProps.session ?? null} refetchOnWindowFocus={false}>
      <Head>
        <title>Top Tier Trading</title>
        <meta name="viewport" content="width=device-width, initial-scale=1" />
      </Head>
      <Component {...pageProps} />
    </SessionProvider>
  );
}
