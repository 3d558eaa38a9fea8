import type { GetServerSideProps, InferGetServerSidePropsType } from "next";
import Link from "next/link";
import { type Session, getServerSession } from "next-auth";
import { signIn, signOut, useSession } from "next-auth/react";

import { authOptions } from "../lib/auth";
import { isOn } from "../lib/flags";
import { asAmount, asMoney } from "../lib/format";
import { VERSION } from "../lib/identity";
import { type Overview, readOverview } from "../lib/platform";

interface Props {
  /** null when the api could not be asked. */
  overview: Overview | null;
  version: string;
  hasLogin: boolean;
  hasBacktest: boolean;
  session: Session | null;
}

export const getServerSideProps: GetServerSideProps<Props> = async ({ req, res }) => {
  const [hasLogin, hasBacktest] = await Promise.all([isOn("github-login"), isOn("backtest-dashboard")]);
  const session = hasLogin ? await getServerSession(req, res, authOptions()) : null;
  const props = { version: VERSION, hasLogin, hasBacktest, session };
  try {
    return { props: { ...props, overview: await readOverview(process.env.API_URL ?? "") } };
  } catch {
    res.statusCode = 502;
    return { props: { ...props, overview: null } };
  }
};

export default function Index({
  overview,
  version,
  hasLogin,
  hasBacktest,
}: InferGetServerSidePropsType<typeof getServerSideProps>) {
  return (
    <main>
      <header>
        <h1>Top Tier Trading</h1>
        <span className="version">{version}</span>
        <nav>
          {hasBacktest && <Link href="/backtest">Backtest</Link>}
          {hasLogin && <Login />}
        </nav>
      </header>
      {overview ? <Dashboard overview={overview} /> : <p role="alert">The api does not answer.</p>}
    </main>
  );
}

function Login() {
  const { data: session } = useSession();
  if (!session) {
    return (
      <button type="button" onClick={() => void signIn("github")}>
        Sign in with GitHub
      </button>
    );
  }
  return (
    <>
      <span>{session.user?.name ?? session.user?.email}</span>
      <button type="button" onClick={() => void signOut()}>
        Sign out
      </button>
    </>
  );
}

function Dashboard({ overview }: { overview: Overview }) {
  const { positions, risk } = overview;
  return (
    <>
      <section className="figures">
        <Figure label="Realised PnL" value={asMoney(risk.pnl)} />
        <Figure label="Kill switch" value={risk.kill_switch ? "ON" : "off"} isAlarming={risk.kill_switch} />
      </section>
      <section>
        <h2>Positions</h2>
        <table>
          <thead>
            <tr>
              <th>Symbol</th>
              <th>Quantity</th>
              <th>Exposure</th>
            </tr>
          </thead>
          <tbody>
            {positions.map((position) => (
              <tr key={position.symbol}>
                <td>{position.symbol}</td>
                <td>{asAmount(position.quantity)}</td>
                <td>{asMoney(position.exposure)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {positions.length === 0 && <p>No positions yet.</p>}
      </section>
    </>
  );
}

function Figure({ label, value, isAlarming = false }: { label: string; value: string; isAlarming?: boolean }) {
  return (
    <div className={isAlarming ? "figure alarming" : "figure"}>
      <span>{label}</span>
      <strong>{value}</strong>
    </div>
  );
}
