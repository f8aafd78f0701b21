/* SPDX-License-Identifier: MIT */
/* nbody [STEPS]: the sun and the four large planets, for so many steps of 0.01 days; prints the system's energy before and
 * after. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PI	   3.141592653589793
#define SOLAR_MASS (4 * PI * PI)
#define YEAR	   365.24
#define BODIES	   5

struct body {
	double at[3], speed[3], mass; /* astronomical units, years, sun = SOLAR_MASS */
};

static struct body bodies[BODIES] = {
	{ { 0 }, { 0 }, SOLAR_MASS },
	{ { 4.84143144246472090e+00, -1.16032004402742839e+00, -1.03622044471123109e-01 },
		{ 1.66007664274403694e-03 * YEAR, 7.69901118419740425e-03 * YEAR,
			-6.90460016972063023e-05 * YEAR },
		9.54791938424326609e-04 * SOLAR_MASS },
	{ { 8.34336671824457987e+00, 4.12479856412430479e+00, -4.03523417114321381e-01 },
		{ -2.76742510726411730e-03 * YEAR, 4.99852801234917238e-03 * YEAR,
			2.30417297573763929e-05 * YEAR },
		2.85885980666130812e-04 * SOLAR_MASS },
	{ { 1.28943695621391310e+01, -1.51111514016986312e+01, -2.23307578892655734e-01 },
		{ 2.96460137564761618e-03 * YEAR, 2.37847173959480950e-03 * YEAR,
			-2.96589568540237556e-05 * YEAR },
		4.36624404335156298e-05 * SOLAR_MASS },
	{ { 1.53796971148509165e+01, -2.59193146099879641e+01, 1.79258772950371181e-01 },
		{ 2.68067772490389322e-03 * YEAR, 1.62824170038242295e-03 * YEAR,
			-9.51592254519715870e-05 * YEAR },
		5.15138902046611451e-05 * SOLAR_MASS },
};

static double distance(const struct body *p, const struct body *q, double d[3])
{
	for (int i = 0; i < 3; i++)
		d[i] = p->at[i] - q->at[i];
	return sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
}

static double energy(void)
{
	double sum = 0, d[3];

	for (int i = 0; i < BODIES; i++) {
		const struct body *p = &bodies[i];
		const double *v = p->speed;

		sum += p->mass * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]) / 2;
		for (int j = i + 1; j < BODIES; j++)
			sum -= p->mass * bodies[j].mass / distance(p, &bodies[j], d);
	}
	return sum;
}

static void step(double dt)
{
	double d[3];

	for (int i = 0; i < BODIES; i++)
		for (int j = i + 1; j < BODIES; j++) {
			struct body *p = &bodies[i], *q = &bodies[j];
			double r = distance(p, q, d), pull = dt / (r * r * r);

			for (int k = 0; k < 3; k++) {
				p->speed[k] -= d[k] * q->mass * pull;
				q->speed[k] += d[k] * p->mass * pull;
			}
		}
	for (int i = 0; i < BODIES; i++)
		for (int k = 0; k < 3; k++)
			bodies[i].at[k] += dt * bodies[i].speed[k];
}

/* The sun moves so that the whole rests. */
static void rest(void)
{
	for (int i = 1; i < BODIES; i++)
		for (int k = 0; k < 3; k++)
			bodies[0].speed[k] -= bodies[i].speed[k] * bodies[i].mass / SOLAR_MASS;
}

int main(int argc, char **argv)
{
	long steps = argc > 1 ? atol(argv[1]) : 10000;

	rest();
	printf("%.9f\n", energy());
	for (long i = 0; i < steps; i++)
		step(0.01);
	printf("%.9f\n", energy());
	return 0;
}
